"""HTML pages from templates: self-contained, escaped, and never half there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2

from herbzoo.whole_file import write_whole


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Renders a template beside the page and renames it; returns the page's path."""
    return write_whole(path, rendered(template, **values))


def rendered(template: str, **values: Any) -> str:
    """Returns a page; a value that a template names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("herbzoo.evaluation"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return environment.get_template(template).render(**values)


def encoded(path: Path) -> str:
    """Returns a picture as it stands in a data URI."""
    return base64.b64encode(path.read_bytes()).decode("ascii")
