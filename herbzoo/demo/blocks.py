"""Places of the page that are filled with our own HTML."""

from __future__ import annotations

from typing import Any

import gradio

HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Options of events that only the page itself triggers; it says by itself that it is at work."""


def html_block(value: str = "", *, live: str = "", **options: Any) -> gradio.HTML:
    """Makes a place for HTML.

    Args:
        value: what is there first.
        live: what the place is called, if a screen reader is to read out what changes there.
        **options: go to `gradio.HTML`.
    """
    if live:
        opening = f'<div role="region" aria-label="{live}" aria-live="polite">'
        options["html_template"] = f"{opening}${{value}}</div>"
    return gradio.HTML(value, apply_default_css=False, **options)
