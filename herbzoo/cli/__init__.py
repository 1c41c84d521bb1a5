"""The command line: `herbzoo VERB`, a module a verb.

Every module here is light: torch, pandas and the like are imported inside the commands, so that
importing all verbs for `herbzoo --help` costs little more than typer itself.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from herbzoo.cli import (
    calibrate,
    card,
    compare,
    data,
    demo,
    embed,
    evaluate,
    explain,
    export,
    identify,
    index,
    novel,
    plugin,
    prototypes,
    push,
    quickstart,
    space,
    submission,
    suspects,
    taxonomy,
    train,
)
from herbzoo.cli import list as list_verb
from herbzoo.errors import HerbzooError

USER_MISTAKE = 2
INTERRUPTED = 130

app = typer.Typer(
    name="herbzoo",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(quickstart.quickstart)
app.command("list")(list_verb.list_parts)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(card.card)
app.command()(identify.identify)
app.command()(suspects.suspects)
app.command()(novel.novel)
app.command()(embed.embed)
app.command()(explain.explain)
app.command()(export.export)
app.command()(prototypes.prototypes)
app.command()(submission.submission)
app.command()(push.push)
app.command()(space.space)
app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(index.app, name="index")
app.add_typer(plugin.app, name="plugin")
app.add_typer(taxonomy.app, name="taxonomy")


@app.callback(invoke_without_command=True)
def herbzoo(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Train and use models that recognise plants from herbarium specimens.

    For example: herbzoo quickstart
    """
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"herbzoo {installed('herbzoo')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Runs the console script: a mistake of the user's is one line and exit code 2."""
    try:
        code = app(prog_name="herbzoo", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe or a full disk is still handled
    except HerbzooError as error:
        _refuse(str(error))
    except typer.TyperException as error:  # an unknown verb or option, a value that is no number
        _refuse(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        _discard_output()
        sys.exit(1)
    except OSError as error:
        _refuse(_disk_trouble(error))
    sys.exit(code)


def _disk_trouble(error: OSError) -> str:
    """Returns what to say of a full disk or of a place that is closed to the user.

    Raises:
        OSError: the error itself, if it is neither.
    """
    name = error.filename2 or error.filename  # of a copy, the one that is written
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _discard_output()
        where = f" while writing {name}" if name else ""
        return (
            f"the disk is full{where}: free some space and run the same command again; "
            "what was complete before is still there"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR) and name:
        return f"{name} cannot be used ({error.strerror}): choose another place, or its permissions"
    raise error


def _refuse(message: str) -> NoReturn:
    print("herbzoo:", " ".join(message.split()), file=sys.stderr)
    sys.exit(USER_MISTAKE)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "herbzoo"
    return f"{error.format_message().rstrip('.')} (`{command} --help` shows what there is)"


def _discard_output() -> None:
    """Points stdout at nowhere, so that the interpreter's last flush cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
