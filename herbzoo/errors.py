"""The mistakes a user can make, as exceptions.

The command line prints a `HerbzooError` as one line and exits with code 2; anything else is a fault
of ours and shows its traceback. A message says what was asked, what exists, and what to do.
"""

from __future__ import annotations


class HerbzooError(Exception):
    """Something the user can put right; its message says how."""


class PluginError(HerbzooError):
    """A backbone or head that cannot be found, is claimed twice, or does not import."""


class DataError(HerbzooError):
    """A collection that cannot be read as it is."""


class ImageError(DataError):
    """One image that cannot be decoded; the collection around it may be fine."""


class RecipeError(HerbzooError):
    """A recipe with an unknown key or a value that does not fit."""


class RunError(HerbzooError):
    """A run folder that is missing, in the way, or from another version."""


class WeightsError(HerbzooError):
    """Pretrained weights that cannot be had here."""
