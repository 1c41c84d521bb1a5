"""The Gradio app over a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.errors import HerbzooError

if TYPE_CHECKING:
    import gradio

TOP = 5
RANKS = ("species", "genus", "family")
FORGET_SECONDS = 600
"""After which an uploaded image is deleted."""


def demo(run: str | Path, device: str = "auto") -> gradio.Blocks:
    """Returns the app for a run folder or Hub id; `.launch()` starts it.

    Raises:
        HerbzooError: if gradio is not installed.
        RunError: if the run does not load.
    """
    try:
        import gradio
    except ImportError as error:
        raise HerbzooError('the demo needs gradio: pip install "herbzoo[demo]"') from error

    from herbzoo.hub.cards import escaped
    from herbzoo.inference import Identifier

    identifier = Identifier.from_pretrained(run, device)
    name = Path(run).name if Path(run).is_dir() else str(run)
    taxa = f"{len(identifier.taxonomy):,} species"
    with gradio.Blocks(title=f"{name} - herbzoo", delete_cache=(FORGET_SECONDS,) * 2) as app:
        gradio.Markdown(f"# Which plant is this?\n{escaped(name)} knows {taxa}.")
        with gradio.Tab("Identify"), gradio.Row():
            image = gradio.Image(
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                label="A herbarium sheet, or a photo of a living plant",
                height=420,
            )
            answers = gradio.HTML("<p>Choose an image; the answer appears here.</p>")
            image.change(
                lambda path: _answer(identifier, path), image, answers, api_name="identify"
            )
        with gradio.Tab("About"):
            gradio.Markdown(_card(run))
    return app


def launch(run: str | Path, device: str = "auto", **options: Any) -> None:
    """Starts the app and serves it until it is interrupted; `options` go to gradio's `launch`."""
    from herbzoo.demo.answers import STYLE

    demo(run, device).launch(css=STYLE, show_error=True, **options)


def _answer(identifier: Any, path: str | None) -> str:
    """Identifies one image at all ranks, with one pass through the model."""
    import torch

    from herbzoo.data.inputs import collect_images
    from herbzoo.demo.answers import answers_html, problem_html
    from herbzoo.identification import CandidateRanking

    if path is None:
        return "<p>Choose an image; the answer appears here.</p>"
    (batch,) = identifier.scored(collect_images(path), 1, 0)
    if batch.failures:
        return problem_html(batch.failures[0].reason)
    chances = torch.softmax(batch.logits / identifier.temperature, dim=1).numpy()
    by_rank = {rank: CandidateRanking(identifier.taxonomy, rank, TOP)(chances)[0] for rank in RANKS}
    return answers_html(by_rank, identifier.calibration is not None)


def _card(run: str | Path) -> str:
    """Returns the text of the model card, without its metadata."""
    from herbzoo.build import folder_of
    from herbzoo.hub.card_metadata import body_of

    path = folder_of(run) / "README.md"
    if not path.is_file():
        return "This model has no card."
    return body_of(path.read_text(encoding="utf-8"))
