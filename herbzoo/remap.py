"""A trained model under other names: classes renamed and lumped, the weights as they were."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

from herbzoo.build import folder_of, load_run
from herbzoo.data.destination import check_destination
from herbzoo.errors import RunError
from herbzoo.hub.cards import FILE_NAME as CARD
from herbzoo.hub.cards import escaped, renew_card
from herbzoo.modeling.configuration_herbzoo import SCHEMA_VERSION, HerbConfig
from herbzoo.name_layouts import ACCEPTED
from herbzoo.name_table import NameTable
from herbzoo.resolution import AMBIGUOUS, Resolution, count_statuses, resolve, with_authorship
from herbzoo.taxonomy import BEFORE_REMAP, NameTableFacts, Taxon, Taxonomy

OF_THE_OLD_CLASSES = ("metrics.json", "calibration.json", "figures", "evaluations")
"""What was measured with the old classes; it is kept as `metrics-before-remap.json` and so on."""


@dataclass(frozen=True)
class Remap:
    """What a table of names makes of the classes of a model."""

    before: Taxonomy
    after: Taxonomy
    class_map: tuple[int, ...]
    """For each class before its class after."""
    resolutions: tuple[Resolution, ...]
    """What the table says of each class before."""

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many classes have each status in the table."""
        return count_statuses(self.resolutions)

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Classes that have another name now, lumped ones included: old name to new name."""
        pairs = zip(self.before.taxa, self.class_map, strict=True)
        names = {old.scientificName: self.after.taxa[new].scientificName for old, new in pairs}
        return {old: new for old, new in names.items() if old != new}

    @cached_property
    def lumped(self) -> dict[str, list[str]]:
        """Classes after that were several before: new name to old names."""
        members: dict[int, list[str]] = {}
        for taxon, new in zip(self.before.taxa, self.class_map, strict=True):
            members.setdefault(new, []).append(taxon.scientificName)
        names = self.after.taxa
        return {names[new].scientificName: old for new, old in members.items() if len(old) > 1}

    @cached_property
    def kept(self) -> tuple[Resolution, ...]:
        """Classes that keep their name because the table does not settle it."""
        return tuple(one for one in self.resolutions if not one.resolved)


def taxon_names(taxonomy: Taxonomy) -> list[str]:
    """Returns the name of each class with its authors: what to load a table for."""
    return [
        with_authorship(one.scientificName, one.scientificNameAuthorship) for one in taxonomy.taxa
    ]


def plan_remap(taxonomy: Taxonomy, table: NameTable) -> Remap:
    """Works out what becomes of the classes of a model.

    Classes whose names have one accepted name take it, and become one class if it is the same.
    A name that may stand for several accepted names cannot be split: no class knows which of its
    images were which. It is kept, and its taxon has the status `ambiguous`; likewise those that the
    table lacks or does not place.

    Args:
        taxonomy: the classes.
        table: loaded for `taxon_names(taxonomy)`, or whole.
    """
    resolutions = resolve(taxon_names(taxonomy), table)
    members: dict[tuple[str, ...], list[int]] = {}
    for position, resolution in enumerate(resolutions):
        own = (resolution.accepted, resolution.authorship, resolution.id)
        members.setdefault(own if resolution.resolved else ("", str(position)), []).append(position)
    taxa, class_map = [], [0] * len(resolutions)
    for new, positions in enumerate(members.values()):
        taxa.append(_taxon([taxonomy.taxa[old] for old in positions], resolutions[positions[0]]))
        for old in positions:
            class_map[old] = new
    after = Taxonomy(tuple(taxa), name_table=NameTableFacts(table.title, table.version))
    return Remap(taxonomy, after, tuple(class_map), tuple(resolutions))


def _taxon(olds: Sequence[Taxon], resolution: Resolution) -> Taxon:
    if not resolution.resolved:
        (old,) = olds
        return Taxon(**{**vars(old), "status": resolution.status})
    names = [name for old in olds for name in (old.scientificName, *old.synonyms)]
    return Taxon(
        resolution.accepted,
        resolution.authorship,
        resolution.genus,
        resolution.family or next((old.family for old in olds if old.family), ""),
        resolution.id,
        count=sum(old.count for old in olds),
        status=ACCEPTED,
        synonyms=tuple(dict.fromkeys(name for name in names if name != resolution.accepted)),
    )


def write_remapped(run: str | Path, remap: Remap, output: Path) -> None:
    """Writes a run that answers with the new classes.

    The weights are copied as they are; `class_map` in `config.json` says which classes of the head
    are one now. Maps of a run that was remapped before are composed. What was measured with the
    old classes goes to `metrics-before-remap.json` (and `calibration-`, `figures-`), as it says
    nothing of the new ones. The new run is loaded once before it takes its place.

    Args:
        run: the run folder or Hub id that the plan was made for.
        remap: the plan.
        output: a folder that does not exist or is empty.

    Raises:
        RunError: if there is something at `output`, or the run does not load.
    """
    source = folder_of(run)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise RunError(f"{output} is there already: choose another --output")
    check_destination(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        _copy(source, staged)
        _write_config(source, remap, staged)
        if not (staged / BEFORE_REMAP).is_file():
            remap.before.save(staged, BEFORE_REMAP)
        remap.after.save(staged)
        renew_card(staged, "names", _notice(remap), str(output))
        load_run(staged)
        staged.chmod(0o777 & ~_umask())
        os.replace(staged, output)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def check_settled(remap: Remap) -> None:
    """Refuses a plan in which names are ambiguous.

    Raises:
        RunError: naming the first of them, with what they may stand for.
    """
    open_names = [one for one in remap.kept if one.status == AMBIGUOUS]
    if open_names:
        first = open_names[0]
        raise RunError(
            f"{len(open_names):,} ambiguous, such as {first.text} ({first.reason}): keep "
            "such names as they are with --on-ambiguous keep, or settle them in the table"
        )


def _copy(source: Path, staged: Path) -> None:
    for item in sorted(source.iterdir()):
        # Copied code of a part belongs to the version that wrote it, which may know no class_map.
        if item.name.startswith(".") or item.suffix == ".py" or item.name == CARD:
            continue
        stem, dot, suffix = item.name.partition(".")
        old = item.name in OF_THE_OLD_CLASSES
        target = staged / (f"{stem}-before-remap{dot}{suffix}" if old else item.name)
        if item.is_dir():
            shutil.copytree(item, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(item, target)


def _write_config(source: Path, remap: Remap, staged: Path) -> None:
    config = HerbConfig.from_pretrained(source)
    before = range(config.num_classes) if config.class_map is None else config.class_map
    composed = [remap.class_map[old] if old >= 0 else -1 for old in before]
    config.num_classes = len(remap.after)
    config.class_map = None if composed == list(range(config.num_classes)) else composed
    config.schema_version = SCHEMA_VERSION if config.class_map or config.stacking else 1
    names = remap.after.labels_in_order()
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    if hasattr(config, "auto_map"):  # names code that was not copied
        del config.auto_map
    config.save_pretrained(staged)


def _notice(remap: Remap) -> str:
    """Returns what the card says of it."""
    table = remap.after.name_table
    assert table is not None
    parts = [f"classes with another name: {len(remap.renamed):,}"]
    if remap.lumped:
        several = sum(map(len, remap.lumped.values()))
        parts.append(f"lumped: {several:,} into {len(remap.lumped):,}, probabilities add up")
    if remap.kept:
        names = ", ".join(escaped(one.text) for one in remap.kept[:5])
        more = ", ..." if len(remap.kept) > 5 else ""
        parts.append(
            f"kept, as the table does not settle them: {len(remap.kept):,} ({names}{more})"
        )
    return (
        f"The names follow {escaped(f'{table.name} {table.version}')} since a remap after "
        f"training: of {len(remap.before):,} classes there are {len(remap.after):,} now; "
        f"{'; '.join(parts)}. The weights are unchanged. What was measured with the classes before "
        f"is in `metrics-before-remap.json`, and those classes in `{BEFORE_REMAP}`. "
        "`herbzoo evaluate` measures the classes of now."
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
