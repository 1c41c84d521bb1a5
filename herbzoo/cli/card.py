"""`herbzoo card`: the model card of a run, from what its files say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herbzoo.errors import HerbzooError, RunError

FAILED = 2


def card(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Run folder, or a YAML file of facts (model_cards/)."),
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; say what is wrong with the card, a line each."
        ),
    ] = False,
    init: Annotated[
        bool,
        typer.Option("--init", help="Write a commented card.yaml for what only a person can say."),
    ] = False,
    model_id: Annotated[
        str,
        typer.Option(help="What the card calls the model: its Hub id.  [default: RUN]"),
    ] = "",
    facts: Annotated[
        Path | None,
        typer.Option(
            help="Also write all that the card says as YAML, to be reviewed.", metavar="F"
        ),
    ] = None,
) -> None:
    """Render a run's model card, README.md, again; or check it.

    Training writes the card; `herbzoo evaluate` adds results, and card.yaml what only a person can
    say: the licence, authors, how to cite, what it is for.

    For example: herbzoo card runs/leaves --check
    """
    if check and (init or facts is not None):
        raise HerbzooError("--check writes nothing: leave out --init and --facts")
    from herbzoo.hub.card_yaml import FILE_NAME, write_empty

    if run.suffix == ".yaml":
        if init or facts is not None or model_id:
            raise HerbzooError(f"{run} holds facts, which are rendered as they are: give it alone")
        _kept(run, check)
        return
    if not run.is_dir():
        raise RunError(
            f"{run} is no run folder here, nor a YAML file of facts: fetch one from the Hub with "
            "`hf download ORG/NAME --local-dir DIR`"
        )
    if init:
        typer.echo(f"wrote {write_empty(run)}: fill it in, then herbzoo card {run}")
        return
    if check:
        from herbzoo.hub.card_checks import card_problems

        _report(card_problems(run, model_id), run / "README.md")
        return

    from herbzoo.hub.card_facts import facts_of
    from herbzoo.hub.card_yaml import MEANING, read_stated
    from herbzoo.hub.cards import write_card

    typer.echo(f"wrote {write_card(run, model_id=model_id)}")
    if facts is not None:
        from herbzoo.hub.kept_facts import write_facts

        typer.echo(f"wrote {write_facts(facts, facts_of(run, model_id=model_id))}")
    for key in read_stated(run).unsaid:
        typer.echo(f"{FILE_NAME} could say {key}: {MEANING[key]}", err=True)


def _kept(path: Path, check: bool) -> None:
    """Renders facts that are kept in a file, or compares with what was rendered."""
    from herbzoo.hub.kept_facts import kept_problems, write_kept

    if check:
        _report(kept_problems(path), path.with_suffix(".md"))
    else:
        typer.echo(f"wrote {write_kept(path)}")


def _report(problems: list[str], card: Path) -> None:
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(FAILED)
    typer.echo(f"{card} says what there is to say")
