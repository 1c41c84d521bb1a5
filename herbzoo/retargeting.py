"""Aiming a model at other taxa than it was trained on, by their names alone."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.build import place
from herbzoo.data.taxa_list import TaxaList, rank_of, read_taxa, taxa_of
from herbzoo.errors import HerbzooError, PluginError
from herbzoo.name_usages import name_key
from herbzoo.names import parse_name
from herbzoo.registry import load, names
from herbzoo.resolution import author_key
from herbzoo.taxonomy import RANKS, Taxon, Taxonomy
from herbzoo.text_cache import Bar, CachedEncoder, no_bar

if TYPE_CHECKING:
    from herbzoo.inference import Identifier

_PLURAL = {"species": "species", "genus": "genera", "family": "families"}
_SHOWN = 5
_READ_AT_ONCE = 4096


def retarget(
    identifier: Identifier,
    taxa: TaxaList | str | Path | Iterable[str],
    progress: Bar = no_bar,
) -> list[str]:
    """Lets a model choose among the taxa of a list, whether it was trained on them or not.

    The model's own taxa keep what it knows of them. Its calibration is dropped, because it was
    learned among other candidates. What a name is encoded to is kept on disk for the next time.

    Args:
        identifier: the model; it is changed.
        taxa: the list, the path of a file to read it from, or names.
        progress: opens a bar over the texts to encode.

    Returns:
        What a user should know of the list, a line each.

    Raises:
        DataError: if the list cannot be read, or is empty.
        HerbzooError: if the model's head does not read names, or can make nothing of one of them.
    """
    listed = _as_list(taxa)
    head = identifier.model.head
    if not getattr(head, "reads_names", False):
        name = identifier.model.config.head["name"]
        raise HerbzooError(
            f"{identifier.source} has the head {name!r}, which knows only the taxa it was trained "
            f"on; heads that take others by name: {', '.join(_heads_that_read()) or 'none'}"
        )
    taxonomy, notes = taxonomy_for(listed.taxa, identifier.known)
    if identifier.calibration is not None:
        notes.append("the calibration of the model is left aside: it holds among its own taxa only")
    aim(identifier, taxonomy, listed.name, progress)
    return [*_notes_of(listed, taxonomy), *notes]


def aim(identifier: Identifier, taxonomy: Taxonomy, source: str, progress: Bar = no_bar) -> None:
    """Lets a model whose head reads names choose among these classes, uncalibrated.

    Args:
        identifier: the model; it is changed.
        taxonomy: the classes.
        source: where they are from, for errors.
        progress: opens a bar over the texts to encode.

    Raises:
        HerbzooError: if the head can make nothing of one of them.
    """
    head = identifier.model.head
    _refuse_unreadable(head, taxonomy, source)
    options = {"encoded": CachedEncoder(head, progress=progress)} if _can_cache(head) else {}
    try:
        identifier.model.retarget(taxonomy.labels(), **options)
    except ValueError as error:
        raise HerbzooError(f"{identifier.source} cannot take {source}: {error}") from error
    identifier.model = place(identifier.model, identifier.device).eval()
    identifier.taxonomy, identifier.calibration = taxonomy, None


def taxonomy_for(taxa: Sequence[Taxon], known: Taxonomy) -> tuple[Taxonomy, list[str]]:
    """Makes the classes of a list of taxa, with what a model knows of them.

    A taxon that the model knows, by its name or a synonym, is the model's own, with its facts and
    training images; several names of one taxon become one class. Others have no training images,
    and where they lack a family, that of their genus if the model or the list knows just one. A
    genus or family has the images of all that the model knows of it.

    Among names of several ranks, those of the deepest are kept: a genus does not compete with its
    species. What is a class of the model is always kept.

    Args:
        taxa: as a list gives them, each once.
        known: the classes that the model was trained on.

    Returns:
        The classes in the order of the list, and what a user should know, a line each.
    """
    matched = _Matching(known)
    found = [matched.find(taxon) for taxon in taxa]
    ranks = [rank_of(taxon) for taxon in taxa]
    deepest = min(map(RANKS.index, ranks), default=0)
    families = _families([*known.taxa, *taxa])
    images = _images(known)
    classes: list[Taxon] = []
    of_position: dict[int, list[str]] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for taxon, rank, position in zip(taxa, ranks, found, strict=True):
        if position is not None:
            if position not in of_position:
                own = known.taxa[position]
                classes.append(replace(own, taxonID=own.taxonID or taxon.taxonID))
            of_position.setdefault(position, []).append(taxon.scientificName)
        elif RANKS.index(rank) > deepest:
            left_out[rank].append(taxon.scientificName)
        else:
            own_families = families.get(taxon.genus, set()) if taxon.genus else set()
            only = next(iter(own_families)) if len(own_families) == 1 else ""
            count = 0 if rank == "species" else images[rank, taxon.at_rank(rank)]
            classes.append(replace(taxon, family=taxon.family or only, count=count))
    notes = [
        f"{len(these):,} names of {_PLURAL[rank]} are left out, as a list that goes down to "
        f"{_PLURAL[RANKS[deepest]]} is ranked by these: {_shown(these)}"
        for rank, these in left_out.items()
    ]
    return Taxonomy(tuple(classes)), [*_synonym_notes(of_position, known), *matched.notes(), *notes]


def rank_asked(taxonomy: Taxonomy, rank: str | None) -> str:
    """Returns the rank to answer at among the taxa of a list: theirs, unless another is asked for.

    Raises:
        HerbzooError: if they cannot be ranked at it.
    """
    own = RANKS[min(RANKS.index(rank_of(taxon)) for taxon in taxonomy.taxa)]
    if rank is None:
        return own
    if RANKS.index(rank) < RANKS.index(own):
        raise HerbzooError(
            f"the list names {_PLURAL[own]}, which cannot be ranked by {rank}: leave out --rank, "
            f"or list {_PLURAL[rank]}"
        )
    return rank


def digest_of(taxonomy: Taxonomy) -> str:
    """Returns a short digest of the classes and all that is known of them."""
    digest = hashlib.sha256()
    for taxon in taxonomy.taxa:
        digest.update(repr(taxon).encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()[:12]


@dataclass
class _Matching:
    """Finds listed taxa among the classes of a model."""

    known: Taxonomy
    other_authors: list[str] = field(default_factory=list)
    """What was found under one name by several authors."""

    def __post_init__(self) -> None:
        self._own: dict[str, set[int]] = defaultdict(set)
        self._synonyms: dict[str, set[int]] = defaultdict(set)
        for position, taxon in enumerate(self.known.taxa):
            for name, places in (
                (taxon.scientificName, self._own),
                *((synonym, self._synonyms) for synonym in taxon.synonyms),
            ):
                for key in _keys(name):
                    places[key].add(position)

    def find(self, taxon: Taxon) -> int | None:
        """Returns the class that a taxon is; `None` if there is not exactly one."""
        key = name_key(taxon.scientificName)
        places = self._own.get(key) or self._synonyms.get(key) or set()
        if len(places) > 1:
            places = {place for place in places if self._same_authors(taxon, place)}
        if len(places) != 1:
            return self.known.index.get(taxon.scientificName)
        (place,) = places
        self._compare_authors(taxon, place, key)
        return place

    def notes(self) -> list[str]:
        """Returns what to say of the authors, if anything."""
        if not self.other_authors:
            return []
        number = f"{len(self.other_authors):,} names have"
        if len(self.other_authors) == 1:
            number = "1 name has"
        return [
            f"{number} other authors in the list than in the model, and count as the same: "
            + _shown(self.other_authors, "; ")
        ]

    def _same_authors(self, taxon: Taxon, place: int) -> bool:
        own = self.known.taxa[place].scientificNameAuthorship
        return author_key(own) == author_key(taxon.scientificNameAuthorship)

    def _compare_authors(self, taxon: Taxon, place: int, key: str) -> None:
        own = self.known.taxa[place]
        listed, authors = taxon.scientificNameAuthorship, own.scientificNameAuthorship
        one_name = key in _keys(own.scientificName)  # a synonym has authors of its own
        if listed and authors and one_name and not self._same_authors(taxon, place):
            self.other_authors.append(f"{own.scientificName} {authors} (listed: {listed})")


def _keys(name: str) -> set[str]:
    """Returns by what a name is found, which may have its authors behind it."""
    parsed = parse_name(name)
    plain = bool(parsed.name) and not parsed.problem and not parsed.qualifier
    return {name_key(name), *([name_key(parsed.name)] if plain else [])}


def _families(taxa: Iterable[Taxon]) -> dict[str, set[str]]:
    families: dict[str, set[str]] = defaultdict(set)
    for taxon in taxa:
        if taxon.genus and taxon.family:
            families[taxon.genus].add(taxon.family)
    return families


def _images(known: Taxonomy) -> Counter[tuple[str, str]]:
    images: Counter[tuple[str, str]] = Counter()
    for taxon in known.taxa:
        for rank in ("genus", "family"):
            images[rank, taxon.at_rank(rank)] += taxon.count
    return images


def _synonym_notes(of_position: dict[int, list[str]], known: Taxonomy) -> list[str]:
    several, renamed = [], []
    for position, listed in of_position.items():
        own = known.taxa[position].scientificName
        if len(listed) > 1:
            several.append(f"{own} (as {', '.join(listed)})")
        elif name_key(listed[0]) not in _keys(own):
            renamed.append(f"{listed[0]} ({own})")
    notes = []
    if several:
        notes.append(
            f"under several names in the list, and one class each: {_shown(several, '; ')}"
        )
    if renamed:
        notes.append(f"synonyms of what the model knows, and answers call it: {_shown(renamed)}")
    return notes


def _notes_of(listed: TaxaList, taxonomy: Taxonomy) -> list[str]:
    seen = sum(taxon.count > 0 for taxon in taxonomy.taxa)
    notes = [f"{listed.name}: {len(taxonomy):,} taxa, {seen:,} of them with images in training"]
    if listed.repeated:
        many = len(listed.repeated)
        notes.append(f"listed again, and left out: {many:,} ({_shown(listed.repeated)})")
    names = {taxon.scientificName for taxon in taxonomy.taxa if not taxon.count}
    odd = [name for name in listed.unparsed if name in names]
    if odd:
        notes.append(f"no scientific names, and taken as they stand: {len(odd):,} ({_shown(odd)})")
    if listed.above:
        many = len(listed.above)
        notes.append(f"left out for their taxonRank: {many:,} ({_shown(listed.above)})")
    return notes


def _as_list(taxa: TaxaList | str | Path | Iterable[str]) -> TaxaList:
    if isinstance(taxa, TaxaList):
        return taxa
    return read_taxa(taxa) if isinstance(taxa, (str, Path)) else taxa_of(taxa)


def _can_cache(head: Any) -> bool:
    return hasattr(head, "encoder_key") and hasattr(head, "encode_texts")


def _refuse_unreadable(head: Any, taxonomy: Taxonomy, name: str) -> None:
    """Refuses a list with names of which a head's tokenizer knows nothing."""
    if not hasattr(head, "unreadable"):
        return
    listed = [taxon.scientificName for taxon in taxonomy.taxa]
    found = [
        text
        for start in range(0, len(listed), _READ_AT_ONCE)
        for text in head.unreadable(listed[start : start + _READ_AT_ONCE])
    ]
    if found:
        raise HerbzooError(
            f"the model can read nothing in {len(found):,} of the {len(listed):,} names of {name}: "
            f"{_shown(found)}; correct them, or leave them out"
        )


def _heads_that_read() -> list[str]:
    found = []
    for name in names("heads"):
        try:
            if getattr(load("heads", name), "reads_names", False):
                found.append(name)
        except PluginError:  # a broken one is of no help here
            continue
    return found


def _shown(texts: Sequence[str], between: str = ", ") -> str:
    """Returns the first few of some texts on one line, whatever is in them."""
    more = f"{between}and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    line = between.join(texts[:_SHOWN]) + more
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
