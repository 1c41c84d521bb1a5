"""The tab in which the cases of a results folder are worked through; the server keeps decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio

from herbzoo.curation.review import MOST_AT_ONCE, Review
from herbzoo.curation.review_page import asset, page_script
from herbzoo.demo.picture_box import asset as own_asset


def review_tab(review: Review) -> None:
    """Lays the tab out; is called inside a `gradio.Tab`."""
    gradio.HTML(
        html_template=asset("review.html"),
        js_on_load=page_script(own_asset("review_tab.js")),
        server_functions=_answers(review),
        apply_default_css=False,
        elem_id="hz-review",
    )


def review_style() -> str:
    """Returns the looks of the tab, for the head of the page."""
    return asset("review.css")


def _answers(review: Review) -> list[Callable[[Any], dict[str, Any]]]:
    """Returns what the page may call; their names are those it calls them by."""

    def review_load(given: Any) -> dict[str, Any]:
        return {"page": review.page, "rows": review.take([], 0)["rows"]}

    def review_pictures(given: Any) -> dict[str, Any]:
        digests = [one for one in _list(given)[:MOST_AT_ONCE] if isinstance(one, str)]
        return {digest: review.picture(digest) for digest in digests}

    def review_take(given: Any) -> dict[str, Any]:
        given = given if isinstance(given, dict) else {}
        claims = [one for one in _list(given.get("rows")) if isinstance(one, dict)]
        seen = given.get("seen")
        return review.take(claims, seen if isinstance(seen, int) else 0)

    return [review_load, review_pictures, review_take]


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []
