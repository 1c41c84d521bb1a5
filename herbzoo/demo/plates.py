"""Pictures as plates: mounted like sheets, whole and in their own proportions, with a label."""

from __future__ import annotations

from html import escape

from herbzoo.demo.model import Examined
from herbzoo.demo.wording import data_address


def plate_html(picture: bytes, size: tuple[int, int], alt: str, label: str, kind: str = "") -> str:
    """Returns a picture as a plate.

    Args:
        picture: as WebP or JPEG.
        size: its width and height, so that nothing moves while it is decoded.
        alt: what it shows, in words.
        label: HTML of the label below it.
        kind: a further class, such as `hz-small`.
    """
    width, height = size
    kind_of = "image/jpeg" if picture.startswith(b"\xff\xd8") else "image/webp"
    address = data_address(picture, kind_of)
    image = (
        f'<img src="{address}" alt="{escape(alt)}" width="{width}" height="{height}" '
        'decoding="async">'
    )
    return (
        f'<figure class="hz-plate {kind}"><div class="hz-mount">{image}</div>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def picture_html(examined: Examined, label: str = "", kind: str = "") -> str:
    """Returns the picture of a visitor as a plate; by default its name is the label."""
    name = f"<span>{escape(examined.name)}</span>"
    alt = f"Your picture, {examined.name}"
    return plate_html(examined.shown, examined.size, alt, label or name, kind)
