"""The pictures of a synthetic flora, drawn from their keys when they are opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from herbzoo.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image


def sheet_key(species: int, plant: int, part: int, herbarium: int) -> str:
    """Names the sheet of one part of one plant in one herbarium."""
    return f"sheet-{species}-{plant}-{part}-{herbarium}"


def photo_key(species: int, plant: int, view: int) -> str:
    """Names one photo of one living plant."""
    return f"photo-{species}-{plant}-{view}"


@dataclass(frozen=True)
class SyntheticImages:
    """Draws sheets and photos of the flora `make_flora(species, seed)`; a source of images."""

    species: int = 12
    seed: int = 0

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image:
        """Draws one picture, the same at every size.

        Args:
            key: what `sheet_key` or `photo_key` returned.
            min_size: height and width in pixels that suffice; the picture is drawn at a half or a
                quarter of full size if that is enough. `None` asks for full size.

        Raises:
            ImageError: if the key is not one of this flora's.
        """
        from herbzoo.data.synthetic.flora import make_flora
        from herbzoo.data.synthetic.herbaria import herbaria
        from herbzoo.data.synthetic.photo import draw_photo
        from herbzoo.data.synthetic.sheet import draw_sheet

        kind, *parts = key.split("-")
        try:
            numbers = [int(part) for part in parts]
        except ValueError:
            numbers = []
        sheet = kind == "sheet" and len(numbers) == 4
        known = sheet or (kind == "photo" and len(numbers) == 3)
        known = known and numbers[0] < self.species
        if not known or (sheet and numbers[3] >= len(herbaria(self.seed))):
            raise ImageError(
                f"{key!r} is no picture of the synthetic flora of {self.species} species; "
                "keys come from the image column of synthetic_collection"
            )
        flora = make_flora(self.species, self.seed)
        return (draw_sheet if sheet else draw_photo)(flora, *numbers, min_size=min_size)
