"""Starts the demo of a model, with a specimen index if there is a folder `index` beside this."""

from pathlib import Path

from herbzoo.demo.app import launch

MODEL = "org/name"
INDEX = Path(__file__).parent / "index"
HOSTS: tuple[str, ...] = ()
"""Hosts from which visitors may fetch pictures by their links, such as `iiif.example.org`."""

if __name__ == "__main__":
    launch(MODEL, index=INDEX if INDEX.is_dir() else "", hosts=HOSTS)
