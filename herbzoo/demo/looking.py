"""Where the model looked, as a plate."""

from __future__ import annotations

from html import escape

import numpy as np
from PIL import Image

from herbzoo.data.zones import find_zones
from herbzoo.demo.pictures import as_webp
from herbzoo.demo.plates import plate_html
from herbzoo.demo.wording import name_html
from herbzoo.explanations.explanation import Explanation
from herbzoo.explanations.figure import in_words, overlay


def looking_html(explanation: Explanation) -> str:
    """Returns the picture in the colours of the map, with what they mean."""
    painted = Image.fromarray((255 * np.clip(overlay(explanation), 0, 1)).astype(np.uint8))
    taxon = explanation.taxon
    name = name_html(taxon.scientificName)
    zones = find_zones(explanation.image, explanation.domain)
    words = in_words(explanation, zones) if zones or not explanation.heat.any() else ""
    rows, columns = explanation.cells
    label = (
        f"<strong>Where the model looked for {name}</strong>"
        '<span class="hz-legend"><span>little</span><i aria-hidden="true"></i>'
        "<span>much</span></span>"
        + (f"<span>{escape(words)}</span>" if words else "")
        + f"<span>{escape(explanation.method)}, {rows} × {columns} cells: bright places spoke for "
        "this name. They say what the model used, not what is right.</span>"
    )
    alt = f"Map of where the model looked for {taxon.scientificName}. {words}".strip()
    return plate_html(as_webp(painted), painted.size, alt, label)
