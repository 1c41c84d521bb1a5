"""The box that pictures are dropped into: our own, so that what is refused is said by us.

Gradio's image box opens a file before the app sees it and speaks for itself if it cannot. This one
uploads whatever it is given; whether it is a picture is found out by `herbzoo.demo.pictures`.
"""

from __future__ import annotations

from abc import ABCMeta
from functools import cache
from pathlib import Path
from typing import Any

import gradio
from gradio.component_meta import ComponentMeta
from gradio.data_classes import FileData, ListFiles

from herbzoo.demo.pictures import MAX_BYTES, Picture, read_picture
from herbzoo.errors import ImageError

ASSETS = Path(__file__).parent / "assets"


@cache
def asset(name: str) -> str:
    """Returns the text of a file beside this one."""
    return (ASSETS / name).read_text(encoding="utf-8")


class _WithoutStub(ComponentMeta):
    """Makes a class of Gradio's without writing a `.pyi` file beside the source, as Gradio does."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        """Makes the class; its events are those of its parent."""
        return ABCMeta.__new__(cls, name, bases, attributes)


class PictureBox(gradio.HTML, metaclass=_WithoutStub):
    """Takes pictures by dropping, choosing, pasting, and from the camera; `upload` is its event.

    Args:
        title: what to drop, in a few words.
        several: whether it takes many pictures at once.
        **options: go to `gradio.HTML`.
    """

    def __init__(self, title: str = "", several: bool = False, **options: Any) -> None:
        self.data_model: type[FileData] | type[ListFiles] = ListFiles if several else FileData
        options.setdefault("js_on_load", asset("picture_box.js"))
        super().__init__(
            None,
            html_template=asset("picture_box.html"),
            title=title,
            several=several,
            limit=MAX_BYTES,
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: Any) -> Any:
        """Returns the path of an upload and what the user called it, or a list of such pairs."""
        if payload is None:
            return None
        if isinstance(payload, ListFiles):
            return [(Path(file.path), file.orig_name or "") for file in payload.root]
        return Path(payload.path), payload.orig_name or ""

    def postprocess(self, value: Any) -> None:
        """Shows nothing: the picture appears beside the box."""
        return None

    def api_info(self) -> dict[str, Any]:
        """Describes what clients hand over: files they have uploaded."""
        return dict(self.data_model.model_json_schema())

    def example_payload(self) -> Any:
        """Returns an example for the page about the API."""
        example = {"path": "sheet.jpg", "meta": {"_type": "gradio.FileData"}}
        return [example] if self.data_model is ListFiles else example

    def example_value(self) -> Any:
        """Returns an example for the page about the API."""
        return self.example_payload()

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        """Refuses links, which Gradio would fetch from any host for whoever calls the API."""
        if str(url_or_file_path).lower().startswith(("http:", "https:")):
            raise gradio.Error(
                "a link is no upload: give it as `address`, if this demo takes links",
                print_exception=False,
            )
        return await super().async_move_resource_to_block_cache(url_or_file_path)


Upload = tuple[Path, str]
"""Path of an upload, and what the user called it."""


def picture_of(upload: Upload | None) -> Picture:
    """Reads an upload.

    Raises:
        ImageError: if there is none, or it cannot be read.
    """
    if upload is None:
        raise ImageError("there is no picture: choose one first")
    return read_picture(*upload)
