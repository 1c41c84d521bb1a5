"""`herbzoo push`: a trained model to the Hugging Face Hub."""

from __future__ import annotations

from typing import Annotated

import typer


def push(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or Hub id (org/name).")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="Where to: org/name.")],
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is new, show it to members only.")
    ] = False,
    revision: Annotated[
        str, typer.Option(help="Branch, created if it is not there.", metavar="BRANCH")
    ] = "main",
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Propose it, to a repository of others too.")
    ] = False,
    tag: Annotated[str, typer.Option(help="Name of this state, such as v1.")] = "",
    message: Annotated[str, typer.Option(help="Of the commit.")] = "",
    license_id: Annotated[
        str,
        typer.Option(
            "--license",
            help="Licence of the model, such as cc-by-4.0  [default: that of card.yaml]",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, list what would go, and send nothing.")
    ] = False,
) -> None:
    """Publish a run on the Hugging Face Hub.

    Weights, code, card and figures go in one commit, or nothing does. Before, the run is loaded,
    its card completed and checked, and files that are no part of a model are refused. The code
    that is sent along lets others load the model without herbzoo. `hf auth login` tells the Hub
    who you are.

    For example: herbzoo push runs/leaves my-herbarium/leaves --license cc-by-4.0 --dry-run
    """
    from herbzoo.cli.progress import quiet_loading
    from herbzoo.hub.publish import Destination, prepared, publish
    from herbzoo.hub.staging import size_text, staged

    quiet_loading()
    to = Destination(repo_id, private, revision, pull_request, tag, message)

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    if dry_run:
        with prepared(run, repo_id, license_id, tell) as folder:
            files = staged(folder)
            for file in files:
                typer.echo(f"{file.name}\t{size_text([file])}")
        typer.echo(
            f"would send {len(files)} files, {size_text(files)}, to {repo_id}; nothing was sent",
            err=True,
        )
        return
    done = publish(run, to, license_id, tell)
    if not done.changed:
        typer.echo(f"{repo_id} is up to date already", err=True)
    typer.echo(done.url)
