"""The ConvNeXt V2 family (Woo et al. 2023, https://arxiv.org/abs/2301.00808)."""

from __future__ import annotations

from collections.abc import Sequence

from .timm_backbone import TimmFeatures


class ConvNextV2(TimmFeatures):
    """What the sizes share; each size names its weights, depths and widths.

    Args:
        image_size: pixels, a side or `(height, width)`; any multiple of 32 works well.
        depths: blocks of each of the four stages.
        dims: channels of each of the four stages.
        drop_path_rate: stochastic depth.
    """

    pretrained = "ImageNet, CC BY-NC 4.0, from the Hub"
    architecture_name: str

    def __init__(
        self,
        image_size: int | Sequence[int],
        depths: Sequence[int],
        dims: Sequence[int],
        drop_path_rate: float,
    ) -> None:
        super().__init__(
            self.architecture_name,
            image_size,
            depths=tuple(depths),
            dims=tuple(dims),
            drop_path_rate=drop_path_rate,
        )


class ConvNextV2Atto(ConvNextV2):
    """ConvNeXt V2 Atto, 3.4 M parameters."""

    architecture_name = "convnextv2_atto.fcmae_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (2, 2, 6, 2),
        dims: Sequence[int] = (40, 80, 160, 320),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Femto(ConvNextV2):
    """ConvNeXt V2 Femto, 4.8 M parameters."""

    architecture_name = "convnextv2_femto.fcmae_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (2, 2, 6, 2),
        dims: Sequence[int] = (48, 96, 192, 384),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Pico(ConvNextV2):
    """ConvNeXt V2 Pico, 8.6 M parameters."""

    architecture_name = "convnextv2_pico.fcmae_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (2, 2, 6, 2),
        dims: Sequence[int] = (64, 128, 256, 512),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Nano(ConvNextV2):
    """ConvNeXt V2 Nano, 15.0 M parameters."""

    architecture_name = "convnextv2_nano.fcmae_ft_in22k_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (2, 2, 8, 2),
        dims: Sequence[int] = (80, 160, 320, 640),
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Tiny(ConvNextV2):
    """ConvNeXt V2 Tiny, 27.9 M parameters."""

    architecture_name = "convnextv2_tiny.fcmae_ft_in22k_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Small(ConvNextV2):
    """ConvNeXt V2 Small, 49.5 M parameters."""

    pretrained = ""
    architecture_name = "convnextv2_small"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (3, 3, 27, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Base(ConvNextV2):
    """ConvNeXt V2 Base, 87.7 M parameters."""

    architecture_name = "convnextv2_base.fcmae_ft_in22k_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (3, 3, 27, 3),
        dims: Sequence[int] = (128, 256, 512, 1024),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)


class ConvNextV2Large(ConvNextV2):
    """ConvNeXt V2 Large, 196.4 M parameters."""

    architecture_name = "convnextv2_large.fcmae_ft_in22k_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        depths: Sequence[int] = (3, 3, 27, 3),
        dims: Sequence[int] = (192, 384, 768, 1536),
        drop_path_rate: float = 0.2,
    ) -> None:
        super().__init__(image_size, depths, dims, drop_path_rate)
