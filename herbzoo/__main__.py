"""`python -m herbzoo` is the console script `herbzoo`."""

from herbzoo.cli import main

if __name__ == "__main__":
    main()
