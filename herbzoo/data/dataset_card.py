"""The README.md of a data set on the Hub: front matter for its clients, and words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from herbzoo.data.licences import LicenceRollUp
from herbzoo.data.records import COLUMNS

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>10M")
_HUB_LICENCES = {
    "CC0 1.0": "cc0-1.0",
    "ODbL 1.0": "odbl",
    "ODC-By 1.0": "odc-by",
    "PDDL 1.0": "pddl",
}
"""What the Hub calls the licences that are not `CC BY...`."""
_CREATIVE_COMMONS_VERSIONS = {
    "CC BY": ("2.0", "2.5", "3.0", "4.0"),
    "CC BY-SA": ("3.0", "4.0"),
    "CC BY-NC": ("2.0", "3.0", "4.0"),
    "CC BY-ND": ("4.0",),
    "CC BY-NC-SA": ("2.0", "3.0", "4.0"),
    "CC BY-NC-ND": ("3.0", "4.0"),
}
"""Those for which https://huggingface.co/docs/hub/repositories-licenses has an identifier."""


@dataclass(frozen=True)
class SplitFacts:
    """What the card says of a split."""

    images: int
    bytes: int


@dataclass(frozen=True)
class CardFacts:
    """What is known of a data set."""

    name: str
    splits: Mapping[str, SplitFacts]
    columns: Sequence[str]
    """Its text columns."""
    filled: Sequence[str]
    """Those that say anything."""
    species: int
    licences: LicenceRollUp | None
    """None where nothing is said of any."""
    terms: Sequence[str] = ()
    """Sentences about the terms of the data set as a whole."""
    drawn: bool = False
    """Whether herbzoo drew the images."""


def render_card(facts: CardFacts) -> str:
    """Returns the README.md."""
    return f"---\n{_front_matter(facts)}\n---\n\n{_words(facts)}"


def hub_licence(name: str) -> str | None:
    """Returns the Hub's identifier of a licence of `herbzoo.data.licences`, or None."""
    title, _, version = name.rpartition(" ")
    if version in _CREATIVE_COMMONS_VERSIONS.get(title, ()):
        return name.lower().replace(" ", "-")
    return _HUB_LICENCES.get(name)


def _front_matter(facts: CardFacts) -> str:
    from huggingface_hub import DatasetCardData

    images = sum(split.images for split in facts.splits.values())
    features = [{"name": "image", "dtype": "image"}]
    features += [{"name": column, "dtype": "string"} for column in facts.columns]
    sizes = [
        {"name": name, "num_examples": split.images, "num_bytes": split.bytes}
        for name, split in facts.splits.items()
    ]
    files = [{"split": name, "path": f"data/{name}-*.parquet"} for name in facts.splits]
    card = DatasetCardData(
        license=_licence(facts),
        pretty_name=facts.name,
        task_categories=["image-classification"],
        size_categories=[_SIZE_NAMES[sum(images >= size for size in _SIZES)]],
        tags=["biology", "botany", "herbarium", "darwin-core"],
        configs=[{"config_name": "default", "data_files": files}],
        dataset_info={"features": features, "splits": sizes},
    )
    return card.to_yaml()


def _licence(facts: CardFacts) -> str | None:
    """Returns one licence only where all images are under it."""
    if facts.licences is None or not any(one.licence.stated for one in facts.licences.counts):
        return None
    if len(facts.licences.counts) > 1:
        return "other"
    return hub_licence(facts.licences.counts[0].licence.name) or "other"


def _words(facts: CardFacts) -> str:
    from herbzoo import __version__

    images = sum(split.images for split in facts.splits.values())
    species = f" of {facts.species:,} species" if facts.species else ""
    lines = [
        f"# {facts.name}",
        "",
        f"{images:,} images{species}, one row an image, with the columns of "
        "[Darwin Core](https://dwc.tdwg.org/terms/) as text; what is not known is an empty text.",
        *(["", "herbzoo drew the images: they show no real plants."] if facts.drawn else []),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("ORG/NAME", split="{next(iter(facts.splits))}", streaming=True)',
        "```",
        "",
        "| split | images | size |",
        "|---|---:|---:|",
        *(f"| {n} | {s.images:,} | {s.bytes / 1e6:,.1f} MB |" for n, s in facts.splits.items()),
        "",
        f"Columns that hold something: {', '.join(f'`{column}`' for column in facts.filled)}.",
        "",
        "## Licences of the images",
        "",
        *_licence_words(facts),
        "",
        f"Made with herbzoo {__version__} (`herbzoo data convert`).",
        "",
    ]
    return "\n".join(lines)


def _licence_words(facts: CardFacts) -> list[str]:
    if facts.licences is None:
        return ["Nothing is known of them; find out before the data are passed on.", *facts.terms]
    table = ["| licence | images |", "|---|---:|"]
    table += [
        f"| {' '.join(count.licence.name.replace('|', '/').split())} | {count.images:,} |"
        for count in facts.licences.counts
    ]
    said = [f"- {sentence}" for sentence in (*facts.licences.sentences(), *facts.terms)]
    return [*table, "", *said]


def filled_columns(columns: Sequence[str], filled: Sequence[str]) -> list[str]:
    """Returns the columns that say anything, those of Darwin Core first."""
    known = [column for column in COLUMNS if column in filled]
    return [*known, *(column for column in columns if column in filled and column not in known)]
