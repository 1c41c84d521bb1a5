"""Starts the demo of a model."""

from herbzoo.demo.app import launch

MODEL = "org/name"

if __name__ == "__main__":
    launch(MODEL, ssr_mode=False)
