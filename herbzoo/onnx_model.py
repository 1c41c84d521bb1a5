"""From a torch model to an ONNX file: what an image goes through, without labels or losses."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from herbzoo.build import LoadedRun, image_spec_of
from herbzoo.errors import HerbzooError, RunError

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

Dtype = Literal["float32", "float16"]
INPUT, OUTPUTS = "pixel_values", ("logits", "embeddings")
OPSET = 20
"""Understood by onnxruntime since 1.17 of early 2024."""
_TRACED = 2
"""Images a batch while torch follows the model; a batch of 1 would become fixed."""


class Scorer(nn.Module):
    """Images `[B, 3, H, W]` to logits `[B, C]` and embeddings `[B, D]`, as `Identifier` does.

    Neck and head always compute in float32: among thousands of classes half precision makes ties.

    Args:
        model: a `HerbForImageClassification`.
        dtype: of the backbone's weights.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.model: Any = model
        self.dtype = dtype

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and embeds a batch."""
        features = self.model.backbone(pixel_values.to(self.dtype)).float()
        embeddings = self.model.neck(features)
        return self.model.score(embeddings, features).float(), embeddings


def write_model(run: LoadedRun, path: Path, opset: int, dtype: Dtype) -> None:
    """Translates a run's model and writes it; the backbone of the run is in `dtype` afterwards.

    Args:
        run: the run.
        path: the file; weights of more than 1.5 GB go to `<path>.data`.
        opset: version of ONNX's operators.
        dtype: what the backbone computes in.

    Raises:
        RunError: if a part of the model does not translate.
    """
    model, computing = run.model.eval(), getattr(torch, dtype)
    model.backbone.to(computing)
    traced = torch.zeros(_TRACED, 3, *image_spec_of(run.processor).size)
    with _quiet():
        try:
            program = _translate(Scorer(model, computing).eval(), traced, OUTPUTS, opset)
        except Exception as error:  # torch's exporter has many kinds, and a part may raise any
            part = _culprit(model, traced, computing)
            raise RunError(
                f"{run.source} cannot be exported to ONNX: its {part} does not translate "
                f"({reason_of(error)})"
            ) from error
        program.save(path)


def _translate(
    module: nn.Module, traced: Tensor, outputs: tuple[str, ...], opset: int
) -> ONNXProgram:
    """Translates a module; where its weights decide on a way through it, that way is taken.

    A head that scores by class means once there are some is such a one.
    """
    from torch._functorch import config
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    def attempt() -> ONNXProgram:
        program = torch.onnx.export(
            module,
            (traced,),
            dynamo=True,
            input_names=[INPUT],
            output_names=outputs,
            dynamic_shapes=({0: "batch"},),
            opset_version=opset,
            verbose=False,
        )
        assert program is not None
        return program

    try:
        return attempt()
    except torch.onnx.errors.OnnxExporterError as error:
        if not isinstance(error.__cause__, GuardOnDataDependentSymNode):
            raise
        with config.patch(fake_tensor_propagate_real_tensors=True):
            program = attempt()
        if _image_decides(program):
            raise
        return program


def _image_decides(program: ONNXProgram) -> bool:
    """Tells whether a number that depends on the images was read out to decide on something."""
    exported = program.exported_program
    assert exported is not None
    dependent: set[Any] = set()
    for node in exported.graph.nodes:
        given = node.name in exported.graph_signature.user_inputs
        if given or not dependent.isdisjoint(node.all_input_nodes):
            dependent.add(node)
    return any(node.target is torch.ops.aten._local_scalar_dense.default for node in dependent)


def _culprit(model: Any, traced: Tensor, dtype: torch.dtype) -> str:
    """Returns which part does not translate: the backbone, if it does not by itself."""
    try:
        _translate(model.backbone, traced.to(dtype), ("features",), OPSET)
    except Exception:  # as above; here it is the answer
        return f"backbone {model.config.backbone['name']!r}"
    return f"head {model.config.head['name']!r}"


def reason_of(error: BaseException) -> str:
    """Returns the first line of what was wrong in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.:')}" if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's warnings and reports to itself; what goes wrong it also raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def check_form(path: Path, opset: int) -> None:
    """Checks that a file is valid ONNX of an opset.

    Raises:
        HerbzooError: if it is not.
    """
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise HerbzooError(
            f"torch's exporter writes no valid ONNX of opset {opset} ({reason_of(error)}): try "
            f"--opset {OPSET}"
        ) from error
    model = onnx.load(str(path), load_external_data=False)
    written = next(each.version for each in model.opset_import if each.domain == "")
    if written != opset:
        raise HerbzooError(
            f"the model cannot be written in opset {opset}, only in {written}: try --opset {OPSET}"
        )
