"""The Gradio app over a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.errors import HerbzooError

if TYPE_CHECKING:
    import gradio

    from herbzoo.demo.model import DemoModel

FORGET_SECONDS = 300
"""After which an upload is deleted."""
LOOK_EVERY = 60
"""Seconds between two looks for uploads to delete."""
_SESSIONS = 200
"""Visitors whose last picture is remembered."""
_HERB = (
    *("#f1f7ef", "#dcebd8", "#bcd8b6", "#8fcf94", "#5fa368", "#2f6b3a"),
    *("#2a6034", "#23502c", "#1c4023", "#15301a", "#0e2112"),
)
"""Shades of the green that is used throughout, from light to dark."""
_WAITING = 64
"""Questions that may wait for an answer."""


def demo(
    run: str | Path,
    device: str = "auto",
    *,
    index: str | Path = "",
    compare: str | Path = "",
    review: str | Path = "",
    hosts: Sequence[str] = (),
) -> gradio.Blocks:
    """Returns the app for a run folder or Hub id; `.launch(**presentation())` starts it.

    Args:
        run: the model.
        device: where to run it.
        index: a specimen index to compare pictures with, made by the same model.
        compare: another run, whose map of the index is shown beside this one's.
        review: a results folder of `herbzoo suspects` or `novel`, whose cases are worked through;
            whoever opens the demo may decide.
        hosts: from which pictures may be fetched by their links; none by default.

    Raises:
        HerbzooError: if gradio is not installed, the index is of another model, or there is
            nothing to review in the folder.
        RunError: if the run does not load.
    """
    try:
        import gradio
    except ImportError as error:
        raise HerbzooError('the demo needs gradio: pip install "herbzoo[demo]"') from error

    from herbzoo.build import folder_of
    from herbzoo.demo.about_tab import about_tab
    from herbzoo.demo.batch_tab import batch_tab
    from herbzoo.demo.blocks import html_block
    from herbzoo.demo.by_name_tab import by_name_tab
    from herbzoo.demo.endpoints import add_endpoints
    from herbzoo.demo.examples import examples_of_index, examples_of_run
    from herbzoo.demo.identify_tab import IdentifyTab
    from herbzoo.demo.model import DemoModel
    from herbzoo.demo.web_picture import LinkedPictures

    cases = None
    if review:
        from herbzoo.curation.review import Review

        cases = Review(review)
    model = DemoModel(run, device)
    closest, other = None, None
    if index:
        from herbzoo.demo.closest import ClosestSheets
        from herbzoo.demo.collection_tab import CollectionTab
        from herbzoo.index import SpecimenIndex

        closest = ClosestSheets(SpecimenIndex.open(index), model)
        other = DemoModel(compare, device) if compare else None
    elif compare:
        raise HerbzooError("two runs are compared by their maps of an index: give the index too")
    examples = examples_of_run(folder_of(run), model.taxonomy)
    if closest is not None and not examples:
        examples = examples_of_index(closest.index)
    links = LinkedPictures(hosts) if hosts else None
    with gradio.Blocks(
        title=f"{model.name} - herbzoo",
        analytics_enabled=False,
        delete_cache=(LOOK_EVERY, FORGET_SECONDS),
    ) as app:
        html_block(_head(model))
        with gradio.Tab("Identify"):
            IdentifyTab(model, closest, links, examples).build()
        if model.reads_names:
            with gradio.Tab("By name"):
                by_name_tab(model)
        with gradio.Tab("Batch"):
            batch_tab(model)
        if closest is not None:
            with gradio.Tab("Collection"):
                CollectionTab(closest, model, other).build()
        if cases is not None:
            from herbzoo.demo.review_tab import review_tab

            with gradio.Tab("Review"):
                review_tab(cases)
        with gradio.Tab("About"):
            about_tab(run)
        add_endpoints(model, closest)
    app.queue(default_concurrency_limit=4, max_size=_WAITING)
    return app


def presentation() -> dict[str, Any]:
    """Returns the looks of the app and the limits of its server, for `.launch`."""
    import gradio

    from herbzoo.demo.picture_box import asset
    from herbzoo.demo.pictures import MAX_BYTES
    from herbzoo.demo.review_tab import review_style

    words = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    theme = gradio.themes.Base(
        primary_hue=gradio.themes.Color(*_HERB, name="herb"),
        neutral_hue=gradio.themes.colors.stone,
        font=words,
        font_mono=("ui-monospace", "monospace"),
    ).set(  # what Gradio writes in light grey is too pale to read
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
    )
    return {
        "theme": theme,
        "css": asset("space.css"),
        # Gradio puts the class of its page before every selector of `css`; these name the page.
        "head": f"<style>{asset('page.css')}</style><style>{review_style()}</style>",
        "max_file_size": MAX_BYTES,
        "state_session_capacity": _SESSIONS,
        "footer_links": ["api"],
        "show_error": True,
        "ssr_mode": False,
    }


def launch(
    run: str | Path,
    device: str = "auto",
    *,
    index: str | Path = "",
    compare: str | Path = "",
    review: str | Path = "",
    hosts: Sequence[str] = (),
    **options: Any,
) -> None:
    """Starts the app and serves it until it is interrupted; `options` go to gradio's `launch`."""
    app = demo(run, device, index=index, compare=compare, review=review, hosts=hosts)
    app.launch(**presentation() | options)


def _head(model: DemoModel) -> str:
    from herbzoo.demo.wording import count

    taxa = model.taxonomy.taxa
    genera = len({taxon.genus for taxon in taxa} - {""})
    families = len({taxon.family for taxon in taxa} - {""})
    knows = [count(len(taxa), "species", "species")]
    knows += [count(genera, "genus", "genera")] if genera else []
    knows += [count(families, "family", "families")] if families else []
    listed = f"{', '.join(knows[:-1])} and {knows[-1]}" if len(knows) > 1 else knows[0]
    return (
        '<header class="hz-head"><h1>Which plant is this?</h1>'
        f"<p><strong>{escape(model.name)}</strong> knows {listed}. "
        "Pictures are not kept: an upload is deleted within minutes.</p></header>"
    )
