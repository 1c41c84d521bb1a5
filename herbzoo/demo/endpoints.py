"""What programs ask of the demo over its API: the same answers as on the page, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, TypeVar

import gradio

from herbzoo.demo.among import pasted
from herbzoo.demo.batch_tab import batches
from herbzoo.demo.closest import ClosestSheets
from herbzoo.demo.model import Answer, BatchAnswer, DemoModel
from herbzoo.demo.picture_box import PictureBox, Upload, picture_of
from herbzoo.errors import HerbzooError

MOST_NEIGHBOURS = 100
_Result = TypeVar("_Result")


def add_endpoints(model: DemoModel, closest: ClosestSheets | None) -> None:
    """Adds the endpoints; is called inside the app's `gradio.Blocks`."""

    def identify(picture: Upload | None, precision: float, names: str) -> dict[str, Any]:
        """Names one picture.

        Args:
            picture: the file.
            precision: share of answers that are to be right, such as 0.9; 0 for the best guess.
            names: to choose among, one a line; '' for all the model knows.
        """
        listed = pasted(names)
        chosen = None if listed is None else model.restricted(listed)
        examined = model.examine(picture_of(picture))
        answer = model.answer(examined, precision or None, chosen)
        return {"picture": examined.name, "model": model.reference, **_plain(answer)}

    def by_name(picture: Upload | None, names: str) -> dict[str, Any]:
        """Ranks names for one picture."""
        if not names.strip():
            raise HerbzooError("there are no names to rank: give one a line")
        return identify(picture, 0.0, names)

    def neighbours(picture: Upload | None, k: float, where: str) -> dict[str, Any]:
        """Finds the closest sheets of the index, and what they say the picture shows."""
        assert closest is not None
        if not 1 <= k <= MOST_NEIGHBOURS:
            raise HerbzooError(f"k is a number of sheets from 1 to {MOST_NEIGHBOURS}, not {k:g}")
        examined = model.examine(picture_of(picture))
        found = closest.matches(examined, int(k), where)
        candidates = closest.candidates(examined, where) if found else ()
        return {
            "picture": examined.name,
            "model": model.reference,
            "species": [asdict(one) for one in candidates],
            "sheets": [
                {"similarity": one.similarity, **asdict(one.record), **one.fields} for one in found
            ],
        }

    def batch(pictures: Sequence[Upload] | None, precision: float) -> dict[str, Any]:
        """Names many pictures, or those in zip archives."""
        *_, (done, _) = batches(model, pictures or (), precision or None)
        return {"model": model.reference, "answers": [_line(one) for one in done]}

    with gradio.Column(visible=False):
        picture = PictureBox(label="picture")
        pictures = PictureBox(several=True, label="pictures")
        precision = gradio.Number(0, label="precision")
        names = gradio.Textbox("", label="names")
        where = gradio.Textbox("", label="where")
        k = gradio.Number(10, label="k")
        answer = gradio.JSON(label="answer")
        asked = gradio.Button("Ask")
    asked.click(_refusing(identify), [picture, precision, names], answer, api_name="identify")
    asked.click(
        _refusing(batch),
        [pictures, precision],
        answer,
        api_name="batch",
        concurrency_limit=1,
        concurrency_id="batch",
    )
    if model.reads_names:
        asked.click(_refusing(by_name), [picture, names], answer, api_name="by_name")
    if closest is not None:
        asked.click(_refusing(neighbours), [picture, k, where], answer, api_name="neighbours")


def _refusing(ask: Callable[..., _Result]) -> Callable[..., _Result]:
    """Makes what a caller can put right one line of the answer, and no traceback of the log."""

    @wraps(ask)
    def asked(*given: Any) -> _Result:
        try:
            return ask(*given)
        except HerbzooError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    return asked


def _plain(answer: Answer) -> dict[str, Any]:
    return {
        "calibrated": answer.calibrated,
        "precision": answer.precision,
        "answer": asdict(answer.best),
        **{rank: [asdict(one) for one in found] for rank, found in answer.by_rank.items()},
        "notes": list(answer.among.notes) if answer.among is not None else [],
    }


def _line(one: BatchAnswer) -> dict[str, Any]:
    if one.identification is None or one.ranked is None:
        return {"picture": one.name, "problem": one.problem}
    return {
        "picture": one.name,
        "answer": asdict(one.identification.best),
        "species": [asdict(candidate) for candidate in one.ranked.candidates],
    }
