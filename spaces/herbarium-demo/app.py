"""Starts the demo of a model, with a specimen index if there is a folder `index` beside this.

A folder `review` holds cases to work through. Decisions are written into it, and a Space
forgets them when it restarts: download them from the page.
"""

from pathlib import Path

from herbzoo.demo.app import launch

MODEL = "org/name"
INDEX = Path(__file__).parent / "index"
REVIEW = Path(__file__).parent / "review"
HOSTS: tuple[str, ...] = ()
"""Hosts from which visitors may fetch pictures by their links, such as `iiif.example.org`."""

if __name__ == "__main__":
    launch(
        MODEL,
        index=INDEX if INDEX.is_dir() else "",
        review=REVIEW if REVIEW.is_dir() else "",
        hosts=HOSTS,
    )
