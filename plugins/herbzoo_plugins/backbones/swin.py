"""The Swin and Swin V2 families, at a free input size.

Liu et al. 2021, https://arxiv.org/abs/2103.14030, and 2022, https://arxiv.org/abs/2111.09883.
Windows are padded and masks made for each forward pass, so any multiple of a patch can be fed.
"""

from __future__ import annotations

from collections.abc import Sequence

from .timm_backbone import TimmFeatures


class Swin(TimmFeatures):
    """What the sizes of both generations share.

    Args:
        image_size: pixels, a side or `(height, width)`; multiples of 4.
        window_size: side of the attention window, in patches of 4 pixels.
        embed_dim: channels of the first stage; each later stage doubles them.
        depths: blocks of each stage.
        num_heads: attention heads of each stage.
        drop_path_rate: stochastic depth.
    """

    pretrained = "ImageNet-22k and -1k, MIT, from the Hub"
    architecture_name: str

    def __init__(
        self,
        image_size: int | Sequence[int],
        window_size: int,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        drop_path_rate: float,
    ) -> None:
        super().__init__(
            self.architecture_name,
            image_size,
            image_aware=True,
            window_size=window_size,
            embed_dim=embed_dim,
            depths=tuple(depths),
            num_heads=tuple(num_heads),
            drop_path_rate=drop_path_rate,
            dynamic_img_size=True,
        )


class SwinTiny(Swin):
    """Swin Tiny, 27.5 M parameters."""

    architecture_name = "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        window_size: int = 7,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinSmall(Swin):
    """Swin Small, 48.8 M parameters."""

    architecture_name = "swin_small_patch4_window7_224.ms_in22k_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        window_size: int = 7,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinBase(Swin):
    """Swin Base, 86.7 M parameters."""

    architecture_name = "swin_base_patch4_window7_224.ms_in22k_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        window_size: int = 7,
        embed_dim: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (4, 8, 16, 32),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinLarge(Swin):
    """Swin Large, 195.0 M parameters."""

    architecture_name = "swin_large_patch4_window7_224.ms_in22k_ft_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 224,
        window_size: int = 7,
        embed_dim: int = 192,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (6, 12, 24, 48),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinV2Tiny(Swin):
    """Swin V2 Tiny, 27.6 M parameters."""

    pretrained = "ImageNet-1k, MIT, from the Hub"
    architecture_name = "swinv2_tiny_window8_256.ms_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 256,
        window_size: int = 8,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinV2Small(Swin):
    """Swin V2 Small, 49.0 M parameters."""

    pretrained = "ImageNet-1k, MIT, from the Hub"
    architecture_name = "swinv2_small_window8_256.ms_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 256,
        window_size: int = 8,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinV2Base(Swin):
    """Swin V2 Base, 86.9 M parameters."""

    pretrained = "ImageNet-1k, MIT, from the Hub"
    architecture_name = "swinv2_base_window8_256.ms_in1k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 256,
        window_size: int = 8,
        embed_dim: int = 128,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (4, 8, 16, 32),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)


class SwinV2Large(Swin):
    """Swin V2 Large, 195.2 M parameters."""

    pretrained = "ImageNet-22k, MIT, from the Hub"
    architecture_name = "swinv2_large_window12_192.ms_in22k"

    def __init__(
        self,
        image_size: int | Sequence[int] = 192,
        window_size: int = 12,
        embed_dim: int = 192,
        depths: Sequence[int] = (2, 2, 18, 2),
        num_heads: Sequence[int] = (6, 12, 24, 48),
        drop_path_rate: float = 0.1,
    ) -> None:
        super().__init__(image_size, window_size, embed_dim, depths, num_heads, drop_path_rate)
