"""`herbzoo demo`: a model to try in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from herbzoo.cli.train import Device


def demo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    port: Annotated[int, typer.Option(help="Of the address  [default: a free one]")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    device: Device = "auto",
) -> None:
    """Try a model in the browser, on this machine.

    For example: herbzoo demo runs/leaves
    """
    from herbzoo.cli.progress import quiet_loading
    from herbzoo.demo.app import launch

    quiet_loading()
    launch(run, device, server_name=host, server_port=port or None)
