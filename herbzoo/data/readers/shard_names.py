"""Which Parquet files of a data set count, and which split each holds, told by names alone.

The rules are those of the datasets library (https://huggingface.co/docs/hub/datasets-data-files-configuration),
but for one: whatever a card says, no file is looked for outside of the data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from herbzoo.data.readers.columns import normalise_split
from herbzoo.errors import DataError

_NUMBERED = re.compile(
    r"(?P<series>(?:.*/)?(?P<split>\w+(?:\.\w+)*))-(?P<number>\d{5,})-of-(?P<total>\d{5,})\.parquet"
)
_SPLITS = ("train", "validation", "test")
_EXPORTED = re.compile(r"(?P<config>[^/]+)/(?P<split>[^/]+)/\d+\.parquet")
"""Files of the branch `refs/convert/parquet`, which the Hub makes by itself."""


_MOST = 100_000
"""Files of a series that are missed; whoever claims more has made a mistake."""


@dataclass(frozen=True)
class ShardName:
    """One Parquet file of a data set."""

    path: str
    """Relative to the data set's folder, with forward slashes."""
    split: str
    """Empty where nothing says which it is."""


def shard_names(paths: Iterable[str], card: str, name: str) -> list[ShardName]:
    """Returns the Parquet files that make up a data set, or none if it is made of others.

    Args:
        paths: of all its files.
        card: its README.md, or ''.
        name: what to call it in errors.

    Raises:
        DataError: if it has several configurations and none is the default.
    """
    there = sorted(path for path in paths if not _is_hidden(path))
    configured = _default_config(_configs(card), name)
    if configured is not None:
        found = [
            ShardName(path, split)
            for split, patterns in _patterns(configured)
            for path in there
            if any(_matches(pattern, path) for pattern in patterns)
        ]
        if found:
            whole = all(shard.path.endswith(".parquet") for shard in found)
            return _ordered(found) if whole else []
    parquet = [path for path in there if path.endswith(".parquet")]
    numbered = [path for path in parquet if _NUMBERED.fullmatch(path)]
    return _ordered(ShardName(path, split_of(path)) for path in numbered or parquet)


def exported_names(paths: Iterable[str], name: str) -> list[ShardName]:
    """Returns the files of the Hub's own export to Parquet, in the branch that holds nothing else.

    Raises:
        DataError: if there are several configurations and none is the default.
    """
    exported = [found for path in sorted(paths) if (found := _EXPORTED.fullmatch(path))]
    configs = list(dict.fromkeys(found["config"] for found in exported))
    chosen = _default_config([{"config_name": config} for config in configs], name)
    return _ordered(
        ShardName(found.string, found["split"].removeprefix("partial-"))
        for found in exported
        if chosen is not None and found["config"] == chosen["config_name"]
    )


def missing_names(shards: Sequence[ShardName]) -> list[str]:
    """Returns the files that those of a numbered series say there should be and that are not."""
    there = {shard.path for shard in shards}
    totals: dict[tuple[str, str], int] = {}
    for path in there:
        found = _NUMBERED.fullmatch(path)
        if found is not None:
            totals[found["series"], found["total"]] = len(found["number"])
    wanted = {
        f"{series}-{number:0{digits}d}-of-{total}.parquet"
        for (series, total), digits in totals.items()
        for number in range(min(int(total), _MOST))
    }
    return sorted(wanted - there)


def split_of(path: str) -> str:
    """Returns the split that a path names, or ''."""
    numbered = _NUMBERED.fullmatch(path)
    if numbered is not None:
        return normalise_split(numbered["split"])
    words = re.split(r"[\W_]+", path.removesuffix(".parquet"))
    named = [split for word in words if (split := normalise_split(word)) in _SPLITS]
    return named[-1] if named else ""


def _ordered(shards: Iterable[ShardName]) -> list[ShardName]:
    def place(shard: ShardName) -> tuple[int, str, str]:
        known = shard.split in _SPLITS
        return _SPLITS.index(shard.split) if known else len(_SPLITS), shard.split, shard.path

    return sorted(dict.fromkeys(shards), key=place)


def _configs(card: str) -> list[Mapping[str, Any]]:
    import yaml
    from huggingface_hub import DatasetCard

    if not card.strip():
        return []
    try:
        configs = DatasetCard(card, ignore_metadata_errors=True).data.get("configs")
    except (ValueError, yaml.YAMLError):  # a card that is no YAML says nothing of files
        return []
    listed = configs if isinstance(configs, list) else []
    return [one for one in listed if isinstance(one, Mapping) and one.get("config_name")]


def _default_config(configs: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    if len(configs) < 2:
        return configs[0] if configs else None
    chosen = [one for one in configs if one.get("default") is True]
    chosen = chosen or [one for one in configs if one["config_name"] == "default"]
    if not chosen:
        known = ", ".join(str(one["config_name"]) for one in configs)
        raise DataError(
            f"{name} is several data sets ({known}) and none is the default: download the one you "
            "mean and name its folder"
        )
    return chosen[0]


def _patterns(config: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    """Yields the split and the patterns of each entry of a configuration."""
    below = str(config.get("data_dir") or "").strip("/")
    files = config.get("data_files")
    if files is None and below:
        files = f"{below}/**"
    elif files is None:
        return
    entries = files if isinstance(files, list) else [files]
    if all(isinstance(entry, str) for entry in entries):
        entries = [{"split": "train", "path": entries}]
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("path"):
            paths = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
            yield normalise_split(str(entry.get("split", "train"))), [str(path) for path in paths]


def _matches(pattern: str, path: str) -> bool:
    from fsspec.utils import glob_translate

    try:
        return re.fullmatch(glob_translate(str(PurePosixPath(pattern))), path) is not None
    except ValueError:  # no pattern, so it names nothing
        return False


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__")) for part in path.split("/"))
