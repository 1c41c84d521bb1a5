"""Serves a review until it is killed: `python killed_review.py RUN FOLDER PORT`."""

from __future__ import annotations

import sys

from herbzoo.demo.app import launch

if __name__ == "__main__":
    run, folder, port = sys.argv[1:]
    launch(run, "cpu", review=folder, server_name="127.0.0.1", server_port=int(port), quiet=True)
