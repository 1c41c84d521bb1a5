"""What a text tower is told of a taxon: prompts with its names, and other ways to write them."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

FIELDS = {
    "name": "names",
    "authorship": "authorships",
    "genus": "genera",
    "family": "families",
    "common_name": "vernaculars",
    "traits": "traits",
}
"""What a prompt may speak of, and the attribute of the label facts that holds it."""
EMPTY, STRAY = re.compile(r"\(\s*\)"), re.compile(r"\s*([,;])(?:\s*[,;])*")
"""What a prompt is left with around what is not known."""


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuses prompts that could not be filled in.

    Raises:
        ValueError: if there are none, or one speaks of nothing, or of what is not known.
    """
    if not prompts:
        raise ValueError("prompts must have one at least, such as '{name}'")
    for prompt in prompts:
        asked = _fields_of(prompt)
        if unknown := [field for field in asked if field not in FIELDS]:
            raise ValueError(
                f"the prompt {prompt!r} asks for {{{unknown[0]}}}; there are "
                + ", ".join(f"{{{field}}}" for field in FIELDS)
            )
        if not asked:
            raise ValueError(f"the prompt {prompt!r} says nothing of a taxon, such as {{name}}")


def filled(prompts: Sequence[str], labels: Any) -> list[list[str]]:
    """Returns the prompts of each taxon, filled in.

    What is not known is left out. A prompt of which nothing is known is left out as a whole.

    Args:
        prompts: with fields of `FIELDS`.
        labels: read by attribute: `names` and, where known, the other attributes of `FIELDS`.

    Raises:
        ValueError: if there are no taxa, or no prompt says anything of one.
    """
    if not labels.names:
        raise ValueError("there are no names to encode")
    texts = []
    for taxon in _taxa(labels):
        own = [_filled(prompt, taxon) for prompt in prompts]
        if not any(own):
            raise ValueError(
                f"no prompt says anything of {taxon['name']!r}: {', '.join(prompts)} ask for what "
                "is not known of it"
            )
        texts.append([text for text in dict.fromkeys(own) if text])
    return texts


def variants(
    prompts: Sequence[str], labels: Any, synonyms: bool, spellings: int
) -> list[list[str]]:
    """Returns other ways to write the first prompt of each taxon, for training.

    Args:
        prompts: the first is filled in with other names.
        labels: as of `filled`, and `synonyms` of each taxon.
        synonyms: use those.
        spellings: misspellings of each name, drawn the same every time.
    """
    others = getattr(labels, "synonyms", ()) or [()] * len(labels.names)
    found = []
    for taxon, own in zip(_taxa(labels), others, strict=True):
        draw = random.Random(taxon["name"])
        names = [*own] if synonyms else []
        names += [misspelt(taxon["name"], draw) for _ in range(spellings)]
        texts = (_filled(prompts[0], {**taxon, "name": name}) for name in names)
        found.append([text for text in dict.fromkeys(texts) if text])
    return found


class NameVariants:
    """Other ways to write the taxa, of which training draws some.

    Args:
        write: returns the texts of each taxon, as `variants` does; asked at the first draw.
        share: how often one of them stands for the taxon.
    """

    def __init__(self, write: Callable[[], list[list[str]]] = list, share: float = 0.0) -> None:
        self._write = write
        self._share = share
        self._texts: list[list[str]] | None = None
        self._place: dict[str, int] = {}
        self._vectors: Tensor | None = None

    def drawn(self, rows: Sequence[int]) -> list[str]:
        """Draws a text for each of some taxa; '' for one that is called as usual."""
        if self._texts is None:
            written = self._write() if self._share else []
            self._texts = written if any(written) else []
        if not self._texts:
            return [""] * len(rows)
        chances = torch.rand(len(rows), 2).tolist()
        return [
            own[int(place * len(own))] if (own := self._texts[row]) and chance < self._share else ""
            for row, (chance, place) in zip(rows, chances, strict=True)
        ]

    def encoded(self, texts: Sequence[str], encode: Callable[[list[str]], Tensor]) -> Tensor:
        """Returns what drawn texts are encoded to, `[n, T]`; all are encoded at the first time."""
        if self._vectors is None:
            unique = [*dict.fromkeys(text for own in self._texts or () for text in own)]
            self._place = {text: place for place, text in enumerate(unique)}
            self._vectors = encode(unique)
        return self._vectors[[self._place[text] for text in texts]]


def misspelt(name: str, draw: random.Random) -> str:
    """Returns a name with one of the slips that labels and databases are full of."""
    slips = [
        (old, new)
        for old, new in (("ii", "i"), ("ae", "e"), ("y", "i"), ("th", "t"), ("ll", "l"), ("-", ""))
        if old in name
    ]
    if slips and draw.random() < 0.5:
        return name.replace(*draw.choice(slips), 1)
    place = draw.randrange(1, max(2, len(name) - 1))
    kind = draw.randrange(3)
    if kind == 0:  # a letter is lost
        return name[:place] + name[place + 1 :]
    if kind == 1:  # or doubled
        return name[:place] + name[place - 1] + name[place:]
    return name[: place - 1] + name[place : place + 1] + name[place - 1] + name[place + 1 :]


def _taxa(labels: Any) -> Iterator[dict[str, str]]:
    blank = [""] * len(labels.names)
    columns = [getattr(labels, attribute, ()) or blank for attribute in FIELDS.values()]
    for row in zip(*columns, strict=True):
        yield dict(zip(FIELDS, row, strict=True))


def _filled(prompt: str, taxon: dict[str, str]) -> str:
    if not any(taxon[field] for field in _fields_of(prompt)):
        return ""
    text = EMPTY.sub("", prompt.format(**taxon))
    words = STRAY.sub(r"\1", text).split()
    # The name of a genus or family is a field of its own as well.
    return " ".join(word for word, _ in groupby(words)).strip(" ,;")


def _fields_of(prompt: str) -> list[str]:
    try:
        return [field for _, field, _, _ in string.Formatter().parse(prompt) if field is not None]
    except ValueError as error:
        raise ValueError(f"the prompt {prompt!r} has a brace too many: {error}") from error
