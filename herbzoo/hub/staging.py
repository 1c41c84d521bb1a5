"""What of a run folder goes to the Hub, gathered in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from herbzoo.errors import RunError
from herbzoo.hub.card_results import METRICS
from herbzoo.hub.data_facts import shown_source
from herbzoo.recipe import FILE_NAME as RECIPE
from herbzoo.recipe import Recipe
from herbzoo.run_folder import write_json

PUBLISHED = (
    *("model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("config.json", "preprocessor_config.json", "taxonomy.json"),
    *("tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "sentencepiece.bpe.model"),
    *("recipe.yaml", "training.json", "stacking.json", "calibration.json", "metrics.json"),
    *("per_class.csv", "LICENSE", "LICENSE.*", "card.yaml"),
    *("figures/*.png", "figures/*.svg"),
    *("evaluations/*/metrics.json", "evaluations/*/per_class.csv"),
    *("onnx/model.onnx", "onnx/model.onnx.data", "onnx/*.json"),
    *("*-before-remap.json", "evaluations-before-remap/*/metrics.json"),
)
"""Patterns of the files that are sent; the card and the code are made for the Hub."""
STAYS = (
    *("README.md", "*.py", "report.html", "skipped.csv", "corrections.csv", "logs/*"),
    *("figures/*", "figures-before-remap/*", "evaluations-before-remap/*"),
    *("evaluations/*/report.html", "evaluations/*/figures/*", "evaluations/*/skipped.csv"),
    *(".*", ".*/*"),
)
"""Patterns of what herbzoo and its users keep beside, which is no part of a model."""
WEIGHTS = (".safetensors", ".onnx", ".onnx.data")


@dataclass(frozen=True)
class Staged:
    """One file that is to be sent."""

    name: str
    """Its path in the repository, with forward slashes."""
    path: Path
    """Where it lies now."""
    size: int
    """Bytes."""


def stage(run: Path, folder: Path) -> None:
    """Gathers the files of a run in an empty folder: weights as links, the others as copies.

    Links cost no space; whatever is changed for the Hub afterwards is a copy, so that the run
    stays as it is.

    Args:
        run: a run folder.
        folder: empty.

    Raises:
        RunError: if the run holds files that nobody expects in a model, links that lead out of
            it, or a file that is damaged.
    """
    unexpected = []
    for name in _files(run):
        if matches(name, PUBLISHED):
            _check_inside(run, name)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(WEIGHTS):
                target.symlink_to((run / name).resolve())
            else:
                shutil.copyfile(run / name, target)
        elif not matches(name, STAYS):
            unexpected.append(name)
    if unexpected:
        more = f" and {len(unexpected) - 1} more" if len(unexpected) > 1 else ""
        raise RunError(
            f"{run} holds {unexpected[0]}{more}, which is no part of a herbzoo model: move it "
            "elsewhere, for whoever loads a model has to trust all that lies beside it"
        )
    _forget_paths(folder)


def _check_inside(run: Path, name: str) -> None:
    """Refuses a link that would send a file from elsewhere on the disk.

    Raises:
        RunError: if it is one.
    """
    # In the Hub's cache, snapshots/COMMIT holds links to blobs/ beside snapshots/.
    root = run.parents[1] if run.parent.name == "snapshots" else run
    if not (run / name).resolve().is_relative_to(root.resolve()):
        raise RunError(
            f"{run / name} is a link to {(run / name).resolve()}, outside the run: put the file "
            "itself there if it is to be published"
        )


def staged(folder: Path) -> list[Staged]:
    """Returns all files of a staged folder, by name."""
    return [Staged(name, folder / name, (folder / name).stat().st_size) for name in _files(folder)]


def _files(folder: Path) -> list[str]:
    """Returns the relative names of all files, sorted; links to folders are not followed."""
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        where = Path(parent)
        linked = [name for name in folders if (where / name).is_symlink()]
        for name in (*files, *linked):
            yield (where / name).relative_to(folder).as_posix()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Says whether a pattern fits a path; each of its parts stands for one folder or file.

    A last part that is `*` stands for all that lies below.
    """
    parts = PurePath(name).parts
    for pattern in patterns:
        wanted = PurePath(pattern).parts
        if len(wanted) > len(parts) or (len(wanted) < len(parts) and wanted[-1] != "*"):
            continue
        if all(fnmatchcase(part, want) for part, want in zip(parts, wanted, strict=False)):
            return True
    return False


def _forget_paths(folder: Path) -> None:
    """Leaves of the paths on somebody's disk the names alone."""
    if (folder / RECIPE).is_file():
        recipe = Recipe.load(folder / RECIPE)
        data = replace(
            recipe.data,
            source=shown_source(recipe.data.source),
            taxonomy=shown_source(recipe.data.taxonomy),
            traits=shown_source(recipe.data.traits),
            corrections=shown_source(recipe.data.corrections),
        )
        output = shown_source(recipe.output)
        replace(recipe, data=data, output=output).save(folder)
    for metrics in (folder / METRICS, *folder.glob(f"evaluations/*/{METRICS}")):
        if metrics.is_file():
            try:
                found = json.loads(metrics.read_text(encoding="utf-8"))
                write_json(metrics, found | {"data": shown_source(str(found.get("data", "")))})
            except (ValueError, TypeError, AttributeError) as error:
                name = metrics.relative_to(folder)
                raise RunError(f"{name} of the run is damaged: {error}") from error


def size_text(files: Iterable[Staged]) -> str:
    """Returns what they add up to, for people."""
    size = float(sum(file.size for file in files))
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
