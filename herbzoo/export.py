"""A run as an ONNX model, with all that another runtime needs beside it, checked against torch."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from herbzoo import __version__
from herbzoo.build import LoadedRun, folder_of, image_spec_of, load_run
from herbzoo.errors import HerbzooError, RunError
from herbzoo.onnx_agreement import SAMPLE, Agreement, compare, sample_pixels
from herbzoo.onnx_model import INPUT, OPSET, Dtype, Scorer, check_form, write_model
from herbzoo.run_folder import NEARLY_FULL, write_json
from herbzoo.taxonomy import FILE_NAME as TAXONOMY

FOLDER, MODEL = "onnx", "model.onnx"
"""Where in a run folder an export goes unless told: where the Hub looks for ONNX models."""
PREPROCESSING, LABELS = "preprocessing.json", "labels.json"
SCHEMA_VERSION = 1
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exported:
    """What `export_onnx` wrote."""

    model: Path
    files: tuple[Path, ...]
    """All files, the model's among them."""
    agreement: Agreement

    @property
    def size(self) -> int:
        """Returns the bytes of model and weights."""
        name = self.model.name
        return sum(file.stat().st_size for file in self.files if file.name.startswith(name))


def export_onnx(
    run: str | Path,
    output: str | Path | None = None,
    *,
    opset: int = OPSET,
    dtype: Dtype = "float32",
    data: str | Path = SAMPLE,
    report: Callable[[str], None] = lambda line: None,
) -> Exported:
    """Writes a run as an ONNX model and checks it in onnxruntime against torch.

    The model takes `pixel_values` `[batch, 3, H, W]`, float32, and gives `logits` `[batch, C]`,
    uncalibrated, and `embeddings` `[batch, D]`, not normalised. Beside it come how to make pixel
    values of an image (`preprocessing.json`), the names of the classes in their order
    (`labels.json`) and `taxonomy.json`. Weights beyond what one file can hold (2 GB) go to a file
    `*.onnx.data`.

    Args:
        run: a run folder or Hub id.
        output: a folder, or a file that ends with `.onnx`; the folder `onnx` of the run if none.
        opset: version of ONNX's operators.
        dtype: what the backbone computes in; neck and head compute in float32.
        data: images to check it on: whatever `open_images` takes.
        report: told in one line what goes on.

    Raises:
        RunError: if it is no run, something is in the way, the model cannot be exported or does
            not answer as torch does, or the disk is full. Nothing is left behind then.
        HerbzooError: if a package is missing.
    """
    _check_packages()
    model = _destination(run, output)
    loaded = load_run(run)
    images = sample_pixels(loaded, data)
    with torch.no_grad():
        expected = [found.numpy() for found in Scorer(loaded.model)(images)]
    with _staging(model.parent) as staged:
        report(f"translating {run} to ONNX")
        written = staged / model.name
        write_model(loaded, written, opset, dtype)
        report("comparing onnxruntime with torch")
        check_form(written, opset)
        agreement = compare(written, images, expected, dtype)
        if not agreement.passes:
            raise RunError(
                f"{run} was not exported, because onnxruntime does not answer as torch does: "
                f"{agreement}" + ("" if dtype == "float32" else "; try --dtype float32")
            )
        report(str(agreement))
        _write_description(loaded, written)
        files = _publish(staged, model)
    return Exported(model, files, agreement)


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise HerbzooError(
            f'an export needs {" and ".join(missing)}: pip install "herbzoo[export]"'
        )


def _destination(run: str | Path, output: str | Path | None) -> Path:
    """Returns the path of the model that is to be written, where nothing is in the way."""
    if output is None:
        if not Path(run).is_dir():
            raise RunError(
                f"{run} is no run folder here: look for a typing error, or, to export from the "
                "Hub, say with --output where to"
            )
        output = folder_of(run) / FOLDER
    output = Path(output)
    model = output if output.suffix == ".onnx" and not output.is_dir() else output / MODEL
    if model.parent.exists() and not model.parent.is_dir():
        raise RunError(f"{model.parent} is a file: give --output a folder, or a file *.onnx")
    names = (model.name, f"{model.name}.data", PREPROCESSING, LABELS, TAXONOMY)
    there = next((name for name in names if (model.parent / name).exists()), None)
    if there is not None:
        raise RunError(
            f"{model.parent} has {there} already: choose another --output, or move it away"
        )
    return model


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Yields an empty folder inside another; what is still in it at the end goes.

    Raises:
        RunError: if the disk is full.
    """
    new = not folder.exists()
    staged = folder / ".export.partial"
    try:
        shutil.rmtree(staged, ignore_errors=True)  # of one that was killed
        staged.mkdir(parents=True)
        yield staged
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full and shutil.disk_usage(_existing(folder)).free > NEARLY_FULL:
            raise
        raise RunError(
            f"the disk is full while writing to {folder}: free some space and run the same command "
            "again"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _write_description(run: LoadedRun, model: Path) -> None:
    write_json(model.with_name(PREPROCESSING), _preprocessing(run, model.name))
    write_json(model.with_name(LABELS), run.taxonomy.labels_in_order())
    run.taxonomy.save(model.parent)


def _preprocessing(run: LoadedRun, model: str) -> dict[str, Any]:
    """Returns what makes an image into the model's input, for people and for programs."""
    spec = image_spec_of(run.processor)
    height, width = spec.size
    temperature = None if run.calibration is None else run.calibration.temperature
    softmax = "softmax(logits)" if temperature is None else f"softmax(logits / {temperature})"
    return {
        "schema_version": SCHEMA_VERSION,
        "made_by": f"herbzoo {__version__}",
        "model": model,
        "input": {"name": INPUT, "shape": ["batch", 3, height, width], "dtype": "float32"},
        "height": height,
        "width": width,
        "interpolation": spec.interpolation,
        "antialias": True,
        "fill": 0,
        "divide_by": 255,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "temperature": temperature,
        "steps": [
            "Turn the image upright by its EXIF orientation, lay transparency on white, convert "
            "to RGB, 8 bits a channel.",
            f"Let scale = min({height} / height, {width} / width) of the image.",
            "Resize it, up or down, to max(1, floor(height * scale)) by max(1, floor(width * "
            f"scale)) pixels with {spec.interpolation} interpolation and antialiasing, as Pillow "
            "does. Nothing is cropped.",
            f"Lay it on a black canvas of {height} by {width} (height by width), its corner at "
            f"top = floor(({height} - height) / 2), left = floor(({width} - width) / 2).",
            "Divide by 255; for each channel in the order red, green, blue subtract its mean and "
            "divide by its std.",
            "Order the axes batch, channel, height, width; float32.",
        ],
        "outputs": {
            "logits": f"batch x {len(run.taxonomy)}, a score for each name of {LABELS}, in its "
            f"order. Probabilities are {softmax}.",
            "embeddings": f"batch x {run.model.neck.out_features}, not normalised; compare them "
            "by cosine.",
        },
    }


def _publish(staged: Path, model: Path) -> tuple[Path, ...]:
    """Moves the staged files out of their folder, the model last."""
    names = sorted((item.name for item in staged.iterdir()), key=lambda name: name == model.name)
    for name in names:
        os.replace(staged / name, model.with_name(name))
    return tuple(model.with_name(name) for name in names)
