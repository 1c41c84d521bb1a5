"""`herbzoo plugin check`: the conformance kit at the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from herbzoo.errors import HerbzooError, PluginError

app = typer.Typer()


@app.callback(invoke_without_command=True)
def plugin(context: typer.Context) -> None:
    """Tools for those who write backbones and heads.

    For example: herbzoo plugin check arcface
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A registered name, or FAMILY:VARIANT.")],
    kind: Annotated[
        str, typer.Option(help="backbones or heads; needed only if both have the name.")
    ] = "",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the part; repeatable."),
    ] = None,
    meta_only: Annotated[
        bool, typer.Option(help="Only what needs no memory: for variants too large to run here.")
    ] = False,
) -> None:
    """Check that a backbone or head keeps the contract.

    Prints a line a check; the exit code is 1 if one fails.

    For example: herbzoo plugin check arcface --set margin=0.3
    """
    from herbzoo import conformance

    kind = kind or _kind_of(name)
    given = dict(_parse(option) for option in options or [])
    report = conformance.check(kind, name, given, meta_only=meta_only, listener=typer.echo)
    typer.echo(report.verdict)
    if not report.passed:
        raise typer.Exit(1)


def _kind_of(name: str) -> str:
    """Returns the kind that has the name."""
    from herbzoo import registry
    from herbzoo.interfaces import KINDS

    family = name.partition(":")[0]
    having = [kind for kind in KINDS if family in registry.names(kind)]
    if len(having) == 1:
        return having[0]
    if having:
        raise PluginError(f"{name!r} is a backbone and a head: say which with --kind")
    near = [f"{other!r}" for kind in KINDS for other in registry.nearest(kind, name)]
    hint = f"; did you mean {' or '.join(near)}?" if near else ";"
    raise PluginError(f"no backbone or head is called {name!r}{hint} `herbzoo list` shows all")


def _parse(option: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = option.partition("=")
    if not (name and equals):
        raise HerbzooError(f"--set takes OPTION=VALUE, not {option!r}")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise HerbzooError(f"--set {option}: the value is not YAML ({error})") from error
