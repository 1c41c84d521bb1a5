"""The parts whose files lie beside this one: none here.

Publishing a model copies the modules of its backbone and head next to these files, and writes this
one anew: a class for each name, so that both are found without herbzoo and its entry points.
"""

from __future__ import annotations

COPIED: dict[str, dict[str, type]] = {}
"""`{"backbones" | "heads": {name: class}}`; of `family:variant` the family."""
