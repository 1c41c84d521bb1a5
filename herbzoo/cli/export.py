"""`herbzoo export`: a run as a model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    form: Annotated[
        Literal["onnx"], typer.Option("--format", help="What to write; so far there is ONNX.")
    ] = "onnx",
    output: Annotated[
        Path | None, typer.Option(help="Folder, or file *.onnx in one  [default: RUN/onnx]")
    ] = None,
    opset: Annotated[int, typer.Option(min=18, max=25, help="Version of ONNX's operators.")] = 20,
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="What the backbone computes in; float16 halves the file, for GPUs."),
    ] = "float32",
    data: Annotated[
        str | None,
        typer.Option(help="Images to check the model on  [default: some that herbzoo draws]"),
    ] = None,
) -> None:
    """Write a model for runtimes without torch.

    The model takes batches of any size and gives logits and embeddings. Beside it come
    preprocessing.json (what to do to an image before), labels.json (the names in their order) and
    taxonomy.json.

    For example: herbzoo export runs/leaves --format onnx --output leaves-onnx/
    """
    from herbzoo.cli.progress import quiet_loading
    from herbzoo.export import export_onnx
    from herbzoo.onnx_agreement import SAMPLE

    quiet_loading()
    written = export_onnx(
        run,
        output,
        opset=opset,
        dtype=dtype,
        data=data or SAMPLE,
        report=lambda line: typer.echo(line, err=True),
    )
    beside = ", ".join(sorted(path.name for path in written.files if path != written.model))
    typer.echo(
        f"wrote {written.model} ({written.size / 1e6:,.1f} MB); beside it {beside}", err=True
    )
