"""How fast herbzoo answers: `herbzoo --help` and `import herbzoo`, beside their peers.

    python benchmarks/startup.py

Each command runs several times in a fresh process; the median and the fastest are printed, with the
bare interpreter and `import transformers` beside them, so that a slow machine shows itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
HERBZOO = Path(sys.executable).with_name("herbzoo")
COMMANDS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "import typer": [sys.executable, "-c", "import typer"],
    "import herbzoo": [sys.executable, "-c", "import herbzoo"],
    "herbzoo --help": [str(HERBZOO), "--help"],
    "import transformers": [sys.executable, "-c", "import transformers"],
}
BOUNDS = {"import herbzoo": 0.2, "herbzoo --help": 0.3}


def seconds(command: list[str]) -> list[float]:
    """Returns the wall times of the runs, after one that warms the disk cache."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return sorted(times[1:])


def main() -> None:
    """Prints a line for each command."""
    print(f"{'':22}{'median':>9}{'fastest':>9}   bound")
    for name, command in COMMANDS.items():
        times = seconds(command)
        bound = f"{BOUNDS[name]:.1f} s" if name in BOUNDS else ""
        print(f"{name:22}{statistics.median(times):8.3f}s{times[0]:8.3f}s   {bound}")


if __name__ == "__main__":
    main()
