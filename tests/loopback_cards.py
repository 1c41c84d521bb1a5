"""What the Hub says of the metadata at the head of a `README.md`.

Rules and wording follow what the Hub is seen to answer and the reference of Spaces:
https://huggingface.co/docs/hub/model-cards, https://huggingface.co/docs/hub/spaces-config-reference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from huggingface_hub import DatasetCardData, ModelCardData, SpaceCardData

_LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1
lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr
deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3
llama4 grok2-community gemma unknown other
"""
_TASKS = """
any-to-any audio-classification audio-text-to-text audio-to-audio automatic-speech-recognition
depth-estimation document-question-answering feature-extraction fill-mask graph-ml
image-classification image-feature-extraction image-segmentation image-text-to-text image-to-3d
image-to-image image-to-text image-to-video keypoint-detection mask-generation object-detection
question-answering reinforcement-learning robotics sentence-similarity summarization
table-question-answering tabular-classification tabular-regression text-classification
text-generation text-ranking text-to-3d text-to-audio text-to-image text-to-speech text-to-video
time-series-forecasting token-classification translation unconditional-image-generation
video-classification video-text-to-text visual-document-retrieval visual-question-answering
zero-shot-classification zero-shot-image-classification zero-shot-object-detection other
"""
_COLOURS = ["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
_SDKS = ["gradio", "docker", "static"]
_STRINGS = ("library_name", "license_name", "license_link", "pipeline_tag", "title", "app_file")
_BOOLEANS = ("pinned", "fullWidth", "hf_oauth", "disable_embedding")
_HEAD = re.compile(r"\A\s*---[\r\n]+([\s\S]*?)[\r\n]+---(?:\r?\n|\Z)")
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_DATASET_TYPE = re.compile(r"(?:[\w-]+/)?[\w.-]+")
_EMPTY = "empty or missing yaml metadata in repo card"


@dataclass
class Findings:
    """What is wrong with a card; only errors are refused."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, list[dict[str, str]]]:
        """Returns them as `validate-yaml` answers them."""
        found = {"errors": self.errors, "warnings": self.warnings}
        return {kind: [{"message": text} for text in texts] for kind, texts in found.items()}

    def text(self) -> str:
        """Returns them as lines."""
        lines = [f"- Error: {text}" for text in self.errors]
        return "\n".join([*lines, *(f"- Warning: {text}" for text in self.warnings)])


def metadata(content: str) -> dict[str, Any]:
    """Reads the metadata of a card; there are none where they cannot be read."""
    found = _HEAD.match(content)
    try:
        given = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        given = None
    return given if isinstance(given, dict) else {}


def check(content: str, kind: str) -> Findings:
    """Judges a card.

    Args:
        content: text of the `README.md`.
        kind: `model`, `dataset` or `space`.
    """
    findings = Findings()
    found = _HEAD.match(content)
    if found is None:
        findings.warnings.append(_EMPTY)
        return findings
    try:
        given = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        findings.errors.append(f"YAML: {error}")
        return findings
    if not isinstance(given, dict):
        findings.errors.append("YAML metadata must be a mapping")
        return findings
    findings.errors += _of_all(given)
    if kind == "space":
        findings.errors += _of_a_space(given)
    elif kind == "model":
        findings.errors += _of_a_model_index(given.get("model-index", []))
        if given.get("pipeline_tag") not in (None, *_TASKS.split()):
            tag, known = given["pipeline_tag"], ", ".join(_TASKS.split())
            findings.warnings.append(
                f'The pipeline tag "{tag}" is not in the official list: {known}'
            )
    if not findings.errors:
        findings.errors += _of_the_client(given, kind)
    return findings


def _of_all(given: Mapping[str, Any]) -> Iterator[str]:
    for key in _STRINGS:
        if not isinstance(given.get(key, ""), str):
            yield f'"{key}" must be a string'
    for key in _BOOLEANS:
        if not isinstance(given.get(key, False), bool):
            yield f'"{key}" must be a boolean'
    for licence in _several(given.get("license", [])):
        if licence not in _LICENCES.split():
            yield f'"license" must be one of [{", ".join(_LICENCES.split())}, array]'
    for key in ("tags", "language", "metrics"):
        for at, value in enumerate(_several(given.get(key, []))):
            if not isinstance(value, str):
                yield f'"{key}[{at}]" must be a string'
    for key, what in (("base_model", "model"), ("datasets", "dataset"), ("models", "model")):
        for value in _several(given.get(key, [])):
            if not isinstance(value, str) or not _ID.fullmatch(value):
                yield (
                    f'"{key}" with value "{value}" is not valid. '
                    f"Use a {what} id from https://hf.co/{what}s."
                )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _of_a_model_index(index: Any) -> Iterator[str]:
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for m, model in enumerate(index):
        yield from _required(model, f"model-index[{m}]", "name", "results")
        for r, result in enumerate(_inside(model, "results", [])):
            place = f"model-index[{m}].results[{r}]"
            yield from _required(result, place, "task", "dataset", "metrics")
            yield from _required(_inside(result, "task", {}), f"{place}.task", "type")
            data = _inside(result, "dataset", {})
            yield from _required(data, f"{place}.dataset", "type", "name")
            kind = str(_inside(data, "type", "x"))
            if not _DATASET_TYPE.fullmatch(kind):
                yield (
                    f'"{place}.dataset.type" with value "{kind}" fails to match the required '
                    r"pattern: /^(?:[\w-]+\/)?[\w-.]+$/"
                )
            for n, metric in enumerate(_inside(result, "metrics", [])):
                yield from _required(metric, f"{place}.metrics[{n}]", "type", "value")


def _inside(value: Any, key: str, otherwise: Any) -> Any:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, type(otherwise)) else otherwise


def _required(value: Any, place: str, *keys: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f'"{place}" must be of type object'
        return
    for key in keys:
        if value.get(key) is None:
            yield f'"{place}.{key}" is required'


def _of_a_space(given: Mapping[str, Any]) -> Iterator[str]:
    if "sdk" not in given:
        yield '"sdk" is required'
    elif given["sdk"] not in _SDKS:
        yield f'"sdk" must be one of [{", ".join(_SDKS)}]'
    for key in ("colorFrom", "colorTo"):
        if key in given and given[key] not in _COLOURS:
            yield f'"{key}" must be one of [{", ".join(_COLOURS)}]'
    if "emoji" in given and not _is_emoji(given["emoji"]):
        yield '"emoji" must be a single emoji character'
    if len(str(given.get("short_description", ""))) > 60:
        yield '"short_description" length must be less than or equal to 60 characters long'
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?\w*", str(given.get("sdk_version", "1.0"))):
        yield f'"sdk_version" with value "{given["sdk_version"]}" is not a version'
    if not re.fullmatch(r"3\.\d+(\.\d+)?", str(given.get("python_version", "3.10"))):
        yield f'"python_version" with value "{given["python_version"]}" is not a version'


def _is_emoji(text: Any) -> bool:
    """Tells whether a text is one emoji, with its modifiers and what is joined to it."""
    if not isinstance(text, str) or not text:
        return False
    signs = re.sub("\u200d.|\ufe0f|[\U0001f3fb-\U0001f3ff]", "", text)
    is_flag = len(signs) == 2 and all("\U0001f1e6" <= sign <= "\U0001f1ff" for sign in signs)
    return is_flag or (len(signs) == 1 and unicodedata.category(signs) == "So")


def _of_the_client(given: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Has the client's own class look at the metadata."""
    cards = {"model": ModelCardData, "dataset": DatasetCardData, "space": SpaceCardData}
    try:
        cards[kind](**given)
    except (ValueError, TypeError) as error:
        yield str(error)
