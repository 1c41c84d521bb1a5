"""A description of a collection as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herbzoo.data.describe import NOT_STATED, Description, Group, Pairs, TrainRows, shown_names
from herbzoo.data.tail import Tail

_SHOWN_GROUPS = 8
_SHOWN_SPECIES = 3


def description_text(description: Description) -> str:
    """Returns the lines that `herbzoo data describe` prints."""
    sections = (
        _heading(description),
        _groups("domain", description.domains),
        _groups(f"split (column {description.split_column})", description.splits),
        _groups("institution", description.institutions),
        _groups("family", description.families),
        _groups("genus", description.genera),
        _tail(description),
        _pairs("Species by domain", description.pairs),
        _train(description.train),
        _specimens(description),
        _licences(description),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section)))


def _heading(description: Description) -> Iterator[str]:
    genera = _stated(description.genera)
    families = _stated(description.families)
    yield (
        f"{description.name}: {_of(description.images, 'image')} of "
        f"{_of(len(description.species), 'species')}, {_of(genera, 'genus')}, "
        f"{_of(families, 'family')}"
    )
    if description.files < description.images:
        yield f"{_of(description.files, 'different image')}: some are named in several rows"
    if description.unnamed:
        yield f"{_of(description.unnamed, 'image')} without a name"
    if description.skipped:
        yield f"{_of(description.skipped, 'row')} left out, as they cannot be read"
    for rank, names in {
        "genus": description.without_genus,
        "family": description.without_family,
    }.items():
        if names and len(names) == len(description.species):
            yield f"no species has a {rank}"
        elif names:
            yield f"{_of(len(names), 'species')} without a {rank}: {shown_names(names)}"


def _groups(title: str, groups: Sequence[Group]) -> Iterator[str]:
    if all(group.value == NOT_STATED for group in groups):
        yield f"{title}: {NOT_STATED}"
        return
    shown = [*groups[:_SHOWN_GROUPS], *groups[_SHOWN_GROUPS:][-1:]]  # the last may be `not stated`
    if len(shown) > _SHOWN_GROUPS and shown[-1].value != NOT_STATED:
        shown = shown[:_SHOWN_GROUPS]
    rows = [(title, "images", "species")]
    rows += [(f"  {group.value}", f"{group.images:,}", f"{group.species:,}") for group in shown]
    yield from _table(rows)
    if len(groups) > len(shown):
        yield f"  and {len(groups) - len(shown):,} more"


def _tail(description: Description) -> Iterator[str]:
    tail = description.tail
    if tail is None:
        return
    rows = [("images a species", *(band.label for band in tail.bands))]
    rows.append(("  species", *(f"{band.species:,}" for band in tail.bands)))
    rows.append(("  images", *(f"{band.images:,}" for band in tail.bands)))
    yield from _table(rows)
    yield from _spread(tail)
    if tail.most > tail.fewest:
        named = [f"{kind.scientificName} ({kind.images:,})" for kind in description.species]
        yield f"  most frequent: {', '.join(named[:_SHOWN_SPECIES])}"
        yield f"  rarest: {', '.join(reversed(named[-_SHOWN_SPECIES:]))}"


def _spread(tail: Tail) -> Iterator[str]:
    if tail.most == tail.fewest:
        yield f"  every species has {_of(tail.most, 'image')}"
        return
    yield (
        f"  from {tail.fewest:,} to {_of(tail.most, 'image')} a species "
        f"({tail.imbalance:,.4g} to 1), median {tail.median:,g}"
    )
    yield (
        f"  the most frequent fifth ({tail.head_species:,} species) has {tail.head_share:.0%} of "
        f"the images, half of them are of {tail.half_species:,} species; Gini {tail.gini:.2f}"
    )


def _pairs(title: str, pairs: Pairs) -> Iterator[str]:
    yield title
    for meaning, names in {
        "herbarium and field (with pairs)": pairs.both,
        "herbarium only (without pairs)": pairs.herbarium_only,
        "field only (without pairs)": pairs.field_only,
        "domain not stated": pairs.neither,
    }.items():
        if names:
            yield f"  {meaning}: {len(names):,}: {shown_names(names, 4)}"


def _train(train: TrainRows | None) -> Iterator[str]:
    if train is None:
        return
    yield from _pairs(f"Train rows: {_of(train.images, 'image')}", train.pairs)
    if train.tail is not None:
        yield from _spread(train.tail)
    if train.test_species_unseen:
        names = train.test_species_unseen
        yield f"  only in test, not in train: {len(names):,}: {shown_names(names, 4)}"


def _specimens(description: Description) -> Iterator[str]:
    specimens = description.specimens
    if specimens.identified_images:
        stated = _of(specimens.identified_images, "image")
        yield (
            f"specimens: {specimens.specimens:,} (occurrenceID, stated for {stated}; at most "
            f"{_of(specimens.most_images, 'image')} of one)"
        )
    else:
        yield "specimens: not known, as no row has an occurrenceID"
    if specimens.numbered_images:
        stated = _of(specimens.numbered_images, "image")
        yield (
            f"gatherings: {specimens.gatherings:,} (collector, number and date as written, "
            f"stated for {stated})"
        )
    else:
        yield "gatherings: not known, as no row has a collector and a number"


def _licences(description: Description) -> Iterator[str]:
    rows = [("licence", "images")]
    counts = description.licences.counts
    for count in counts[:_SHOWN_GROUPS]:
        rows.append((f"  {count.licence.name[:60]}", f"{count.images:,}"))
    yield from _table(rows)
    if len(counts) > _SHOWN_GROUPS:
        yield f"  and {len(counts) - _SHOWN_GROUPS:,} more"
    yield from description.licences.sentences()
    yield from description.terms


def _stated(groups: Sequence[Group]) -> int:
    return sum(group.value != NOT_STATED for group in groups)


def _of(number: int, noun: str) -> str:
    plurals = {"species": "species", "genus": "genera", "family": "families"}
    return f"{number:,} {noun if number == 1 else plurals.get(noun, noun + 's')}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(widths[0], 24)
    for first, *numbers in rows:
        yield "  ".join([first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]).rstrip()
