"""Maps of where a model looked, by the method that suits its backbone.

Both methods ask what the picture adds to a blank one of its mean colour, and follow the evidence
along the way between the two (integrated gradients, Sundararajan et al. 2017,
https://arxiv.org/abs/1703.01365). Where features are pooled from a map over the image, as in
convolutional backbones and transformers by stages, they do so on that map: a class-activation map
(Integrated Grad-CAM, Sattarzadeh et al. 2021, https://arxiv.org/abs/2102.07805). Where places are
mixed to the end, as in plain vision transformers, they do so on the pixels.

Gradients at the picture alone do worse where it is known which part of it decides: Grad-CAM on the
last map of a tiny Swin put 0.20 of its mass there and this 0.94, plain gradients of a tiny ViT 0.10
and this 0.90. Evidence is the log-odds of a taxon, its logit against those of all others: the logit
alone also rises with what all taxa have in common.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as pictures

from herbzoo.data.inputs import collect_images
from herbzoo.data.transforms import fit_inside
from herbzoo.errors import DataError, HerbzooError, ImageError, RunError
from herbzoo.explanations.explanation import Explanation
from herbzoo.explanations.spatial_map import SpatialMap, find_spatial_map
from herbzoo.image_batches import AUTO, Failure
from herbzoo.inference import Identifier
from herbzoo.taxonomy import Taxonomy

if TYPE_CHECKING:
    from PIL.Image import Image

    from herbzoo.data.records import Collection

Evidence = Callable[[Tensor], Tensor]
Place = tuple[int, int, int, int]
"""Top, left, height and width in pixels of the model's input."""

ON_MAP, ON_PIXELS = "Integrated Grad-CAM", "Integrated Gradients"
METHODS = {"map": ON_MAP, "pixels": ON_PIXELS}
"""What a method is called in the literature, by what it looks at."""
SHOWN = 1024
"""Pixels of the longer side of an explained image at the most."""
_STEPS = {ON_MAP: 8, ON_PIXELS: 16}
"""Steps from the blank picture to the picture."""
_AT_ONCE = 4
_BLUR = 1 / 32
"""Standard deviation of the blur of what pixels say, as a share of the longer side: half a patch of
16 pixels in an image of 256."""


class Explainer:
    """Says where a model looked; made once for many images.

    The model is left as it was: its mode, its gradients, and what of it is to be trained.

    Args:
        identifier: the trained model. Names and scores are its own; the maps are computed in
            float32, whatever its dtype.
        method: `map` for a class-activation map, `pixels` for what is finer and takes several
            times as long, `auto` for the former where the backbone has a map, else the latter.

    Raises:
        HerbzooError: if there is no such method, or not for this backbone.
    """

    def __init__(self, identifier: Identifier, method: str = "auto") -> None:
        if method not in ("auto", *METHODS):
            raise HerbzooError(
                f"there is no method {method!r}; there are auto, {', '.join(METHODS)}"
            )
        self.identifier = identifier
        self._letterbox = identifier.letterbox
        self._map: SpatialMap | None = None
        if method != "pixels":
            with _as_in_use(identifier.model):
                self._map = find_spatial_map(identifier.model.backbone, self._letterbox.spec.size)
        if method == "map" and self._map is None:
            raise HerbzooError(
                "the method `map` needs a backbone that pools a map over the image, and this one "
                "does not: take `pixels`"
            )

    @property
    def method(self) -> str:
        """What the method is called in the literature."""
        return ON_PIXELS if self._map is None else ON_MAP

    def explained(
        self, collection: Collection, taxon: str | None = None, workers: int = AUTO
    ) -> Iterator[Explanation | Failure]:
        """Explains the images of a collection one after the other.

        Args:
            collection: its names are not looked at.
            taxon: a taxon of the model, for all images; by default each image's best.
            workers: processes that decode images; 0 is none, `AUTO` (-1) chooses.

        Yields:
            For each row in order what the model looked at, or why it cannot be read.

        Raises:
            HerbzooError: if the model knows no such taxon.
            RunError: if its scores are not numbers.
        """
        asked = None if taxon is None else class_of(self.identifier.taxonomy, taxon)
        keys: list[str] = collection.frame["image"].tolist()
        domains: list[str] = collection.frame["basisOfRecord"].tolist()
        with _as_in_use(self.identifier.model):  # which scoring leaves in evaluation
            for batch in self.identifier.scored(collection, batch_size=1, workers=workers):
                yield from batch.failures
                for row, logits in zip(batch.rows.tolist(), batch.logits, strict=True):
                    _refuse_no_numbers(logits)
                    index = int(logits.argmax()) if asked is None else asked
                    key = keys[row]
                    # The very pixels that were scored, and the picture to show.
                    pixels = self._letterbox(collection.images.open(key, self._letterbox.spec.size))
                    shown = _reduced(collection.images.open(key, (SHOWN, SHOWN)))
                    place = letterboxed(shown.height, shown.width, self._letterbox.spec.size)
                    found = self.attribution(pixels, index, place)
                    heat, padding = _spread(found, place, shown.size)
                    yield Explanation(
                        key=key,
                        domain=domains[row],
                        image=shown,
                        taxon=self.identifier.taxonomy.taxa[index],
                        score=float(
                            torch.softmax(logits / self.identifier.temperature, dim=0)[index]
                        ),
                        method=self.method,
                        cells=self._letterbox.spec.size if self._map is None else self._map.cells,
                        heat=heat,
                        padding=padding,
                    )

    def attribution(self, pixels: Tensor, index: int, place: Place) -> Tensor:
        """Returns what speaks for a class at each place of the model's input.

        Args:
            pixels: `[3, H, W]`, uint8, letterboxed.
            index: of the class.
            place: of the picture in it.

        Returns:
            `[H, W]`, float32, not negative, on the CPU; of no particular sum.

        Raises:
            RunError: if the gradients are not numbers.
        """
        model = self.identifier.model
        top, left, high, wide = place
        images = self._letterbox.normalise(pixels)[None].to(self.identifier.device)
        blank = images.clone()
        picture = blank[:, :, top : top + high, left : left + wide]
        picture[:] = picture.mean(dim=(2, 3), keepdim=True)
        evidence = partial(self._log_odds, index=index)
        with _as_in_use(model), torch.autocast(images.device.type, enabled=False):
            if self._map is None:
                found = _on_pixels(evidence, images, blank)
            else:
                found = _on_map(evidence, self._map, images, blank)
        if not bool(torch.isfinite(found).all()):
            raise RunError("the model's gradients are not numbers: its training went astray")
        return found.detach().float().cpu()

    def _log_odds(self, images: Tensor, index: int) -> Tensor:
        """Maps `[B, 3, H, W]` to the log-odds of a class `[B]`, scored as the identifier does."""
        model = self.identifier.model
        features = model.backbone(images)
        logits = model.score(model.embed(None, features), features)
        others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=1)
        return logits[:, index] - torch.logsumexp(others, 1) if others.shape[1] else logits[:, 0]


def explain(
    identifier: Identifier, image: str | Path | Image, taxon: str | None = None
) -> Explanation:
    """Says where a model looked in an image.

    Args:
        identifier: the trained model.
        image: a path or a Pillow image. For many images make one `Explainer`.
        taxon: a taxon of the model; by default the one that it names.

    Raises:
        ImageError: if the image cannot be read.
        DataError: if the path leads nowhere, or to several images.
        HerbzooError: if the model knows no such taxon.
    """
    collection = collect_images(image)
    if len(collection) != 1:
        raise DataError(f"{image} holds {len(collection)} images: name one of them")
    (found,) = Explainer(identifier).explained(collection, taxon, workers=0)
    if isinstance(found, Failure):
        raise ImageError(f"{found.key}: {found.reason}")
    return found


def class_of(taxonomy: Taxonomy, name: str) -> int:
    """Returns the index of a taxon by its name, with or without authorship, or a synonym.

    Raises:
        HerbzooError: if there is none; it names those that are nearest.
    """
    wanted = " ".join(name.split())
    if wanted in taxonomy.index:
        return taxonomy.index[wanted]
    written = {
        f"{taxon.scientificName} {taxon.scientificNameAuthorship}": index
        for index, taxon in enumerate(taxonomy.taxa)
    }
    if wanted in written:
        return written[wanted]
    folded: dict[str, str] = {known.casefold(): known for known in taxonomy.index}
    near = get_close_matches(wanted.casefold(), folded, n=3, cutoff=0.5)
    names = ", ".join(repr(folded[one]) for one in near)
    hint = f"do you mean {names}?" if names else "its taxonomy.json lists those it knows"
    raise HerbzooError(f"the model knows no taxon {wanted!r} among its {len(taxonomy):,}; {hint}")


def letterboxed(height: int, width: int, box: tuple[int, int]) -> Place:
    """Returns where in a letterbox an image lies: top, left, height and width in its pixels."""
    high, wide = fit_inside(height, width, box)
    return (box[0] - high) // 2, (box[1] - wide) // 2, high, wide


def _spread(found: Tensor, place: Place, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Brings a map of the letterbox back to the image, whose width and height are `size`.

    Returns:
        The map of the image, and the share that was outside of it.
    """
    width, height = size
    top, left, high, wide = place
    inside = found[top : top + high, left : left + wide]
    whole = float(found.sum())
    heat = F.interpolate(inside[None, None], (height, width), mode="bilinear")[0, 0].double()
    total = float(heat.sum())
    heat = heat / total if total > 0 else torch.zeros_like(heat)
    padding = 1 - float(inside.sum()) / whole if whole > 0 else 0.0
    return heat.float().numpy(), min(1.0, max(0.0, padding))


def _on_map(evidence: Evidence, places: SpatialMap, images: Tensor, blank: Tensor) -> Tensor:
    with places.channels_first() as layer:
        found = LayerIntegratedGradients(evidence, layer).attribute(
            images, blank, n_steps=_STEPS[ON_MAP], internal_batch_size=_AT_ONCE
        )
    cells = found.float().sum(dim=1, keepdim=True).clamp(min=0)
    size = images.shape[-2:]
    return F.interpolate(cells, size, mode="bilinear", align_corners=False)[0, 0]


def _on_pixels(evidence: Evidence, images: Tensor, blank: Tensor) -> Tensor:
    found = IntegratedGradients(evidence).attribute(
        images, blank, n_steps=_STEPS[ON_PIXELS], internal_batch_size=_AT_ONCE
    )
    sigma = _BLUR * max(images.shape[-2:])
    kernel = 2 * math.ceil(2 * sigma) + 1
    # What neighbours say against each other cancels before what speaks against is left out.
    smooth = pictures.gaussian_blur(found.float().sum(dim=1), [kernel, kernel], [sigma, sigma])
    return smooth[0].clamp(min=0)


@contextmanager
def _as_in_use(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode, and each of its modules back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _reduced(image: Image) -> Image:
    if max(image.size) <= SHOWN:
        return image
    reduced = image.copy()
    reduced.thumbnail((SHOWN, SHOWN))
    return reduced


def _refuse_no_numbers(logits: Tensor) -> None:
    if bool(torch.isnan(logits).any()):
        raise RunError(
            "the model's scores are not numbers: its training went astray, or float16 is too "
            "narrow for it; try --dtype float32"
        )
