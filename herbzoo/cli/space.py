"""`herbzoo space`: a demo of a model, as a Space of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.errors import HerbzooError


def space(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Hub id of the model (org/name[@revision]).")
    ],
    push: Annotated[
        str, typer.Option("--push", metavar="REPO_ID", help="Create or update this Space.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Write the files of the Space to this new folder.")
    ] = None,
    title: Annotated[str, typer.Option(help="Shown on its page.")] = "",
    index: Annotated[
        Path | None, typer.Option(help="Folder of a specimen index of RUN, to go with the Space.")
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(help="Results of suspects or novel, whose cases go with the Space."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="If the Space is new, show it to members only.")
    ] = False,
) -> None:
    """Make a Space that shows a model, to look at or on the Hub.

    RUN may be a run folder with --output; such a Space runs on this machine: `python DIR/app.py`.

    For example: herbzoo space my-herbarium/leaves --push my-herbarium/leaves-demo
    """
    if not push and output is None:
        raise HerbzooError("give --push REPO_ID to publish it, or --output DIR to look at it")

    from herbzoo.hub.space import push_space, write_space

    if output is not None:
        write_space(run, output, title, index, review)
        typer.echo(f"wrote {output}", err=True)
    if push:
        typer.echo(push_space(run, push, title, private, index, review))
