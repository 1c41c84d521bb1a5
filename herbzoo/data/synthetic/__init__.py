"""The built-in made-up flora: records and pictures of any number of species, from a seed.

Nothing in it is real, and no result on it says how a model does on real plants.
"""

from __future__ import annotations

from herbzoo.data.synthetic.collection import synthetic_collection
from herbzoo.data.synthetic.flora import Flora, make_flora
from herbzoo.data.synthetic.folder import write_collection
from herbzoo.data.synthetic.images import SyntheticImages

__all__ = ["Flora", "SyntheticImages", "make_flora", "synthetic_collection", "write_collection"]
