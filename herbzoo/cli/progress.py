"""Progress over images on stderr, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def image_progress(doing: str, total: int, silent: bool = False) -> Iterator[Callable[[int], None]]:
    """Shows how many images are done; yields a function to be told how many more are.

    Args:
        doing: a verb such as `identifying`.
        total: images to do.
        silent: show nothing after all.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,  # what is written there may go to a pipe, and not above the bar
        disable=silent or not console.is_terminal,
    ) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda images: progress.advance(task, images)


def quiet_loading() -> None:
    """Keeps transformers from drawing its own bars, which end up in logs and pipes."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
