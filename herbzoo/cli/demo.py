"""`herbzoo demo`: a model to try in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from herbzoo.cli.train import Device


def demo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    index: Annotated[
        str,
        typer.Option(help="Specimen index of RUN: shows the closest sheets, and its collection."),
    ] = "",
    compare: Annotated[
        str, typer.Option(help="Another run, whose map of the index is shown beside RUN's.")
    ] = "",
    review: Annotated[
        str,
        typer.Option(help="Results of suspects or novel: shows their cases, and takes decisions."),
    ] = "",
    image_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host from which pictures may be fetched by a link, such as iiif.example.org; "
            "may be given again."
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Of the address  [default: a free one]")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    device: Device = "auto",
) -> None:
    """Try a model in the browser, on this machine.

    For example:

    herbzoo demo runs/leaves --index sheets.index

    herbzoo demo runs/leaves --review doubtful/
    """
    from herbzoo.cli.progress import quiet_loading
    from herbzoo.demo.app import launch

    quiet_loading()
    launch(
        run,
        device,
        index=index,
        compare=compare,
        review=review,
        hosts=image_host or (),
        server_name=host,
        server_port=port or None,
    )
