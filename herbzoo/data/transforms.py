"""From a decoded image to the tensor a model takes, with and without augmentation.

`Letterbox` computes what the run's stock image processor computes, one image at a time and in the
loader's workers; a test holds the two equal.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from PIL.Image import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as F

from herbzoo.data.plant import zoomed
from herbzoo.interfaces import ImageSpec

MARGIN = 0.8
"""Most that a zoomed view leaves around the plant, as a share of the plant's longer side."""


def fit_inside(height: int, width: int, box: tuple[int, int]) -> tuple[int, int]:
    """Returns the height and width of an image scaled, up or down, to just fit a box.

    Rounds as the stock processor does, so that both give the same pixels.
    """
    scale = min(box[0] / height, box[1] / width)
    return max(1, int(height * scale)), max(1, int(width * scale))


@dataclass(frozen=True)
class Letterbox:
    """Scales an image to fit the model's input and pads it, centred, with black."""

    spec: ImageSpec

    def __call__(self, image: Image) -> Tensor:
        """Returns `[3, H, W]`, uint8."""
        pixels = F.pil_to_tensor(image)
        fitted = fit_inside(image.height, image.width, self.spec.size)
        pixels = F.resize(
            pixels, list(fitted), InterpolationMode(self.spec.interpolation), antialias=True
        )
        return F.center_crop(pixels, list(self.spec.size))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Maps uint8 `[..., 3, H, W]` to normalised float32."""
        mean = torch.tensor(self.spec.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.spec.std, device=pixels.device).view(3, 1, 1)
        return (pixels.float() / 255 - mean) / std


@dataclass(frozen=True)
class Reframe:
    """Random framings of a picture before it is letterboxed: a view from nearer, another way up.

    Args:
        zoom: share of the views that are cropped to the plant, with up to `MARGIN` around it.
        any_way_up: turn views by quarter turns as well; loose leaves have no upright, sheets do.
    """

    zoom: float = 0.0
    any_way_up: bool = False

    def __call__(self, image: Image, seed: int) -> Image:
        """Returns a view of an RGB image that the seed alone decides."""
        chance = random.Random(seed)
        if chance.random() < self.zoom:
            image = zoomed(image, chance.uniform(0, MARGIN))
        if self.any_way_up:
            image = image.rotate(90 * chance.randrange(4), expand=True)
        return image


class Augment:
    """Random views of a letterboxed plant: turned, moved, scaled, mirrored, relit.

    Args:
        strength: 0 for none, 1 for the usual amount.
        recolour: how much further colours stray, in hue and saturation as well: 1 for as far as
            a pressed plant is from a living one, 0 for light alone.
    """

    def __init__(self, strength: float = 1.0, recolour: float = 0.0) -> None:
        self.strength = s = strength
        self.recolour = r = recolour
        self._transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(0.5),
                transforms.RandomAffine(
                    degrees=20 * s,
                    translate=(0.08 * s, 0.08 * s),
                    scale=(1 - 0.2 * s, 1 + 0.25 * s),
                    interpolation=InterpolationMode.BILINEAR,
                ),
                transforms.ColorJitter(
                    brightness=0.3 * s + 0.1 * r,
                    contrast=0.3 * s,
                    saturation=0.3 * s + 0.2 * r,
                    hue=0.06 * r,  # costs more than all the rest
                ),
                transforms.RandomGrayscale(0.1 * s + 0.05 * r),
            ]
        )

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        """Returns a view of uint8 `[3, H, W]` that the seed alone decides.

        So the views of a training run depend neither on the number of workers nor on whether it
        was interrupted.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._transform(pixels)
