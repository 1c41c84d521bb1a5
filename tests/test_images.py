from __future__ import annotations

import io
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from data_samples import claim_jpeg_size, claim_png_size, quarters, write_image
from PIL import Image, ImageCms, ImageOps

from herbzoo.data import images
from herbzoo.data.images import decode, fitted_size, is_image_path
from herbzoo.errors import ImageError

ORIENTATION = 0x0112


def close_to(
    image: Image.Image, colour: tuple[int, int, int], at: tuple[int, int] = (0, 0)
) -> bool:
    pixel = image.getpixel(at)
    return all(abs(a - b) <= 12 for a, b in zip(pixel, colour, strict=True))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cloudy_jpeg(size: tuple[int, int], **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1] // 32 + 1, size[0] // 32 + 1, 3))
    image = Image.fromarray(noise.astype(np.uint8)).resize(size)
    return encoded(image, "JPEG", **options)


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((3000, 2000), (224, 224), (224, 150)),
        ((2000, 3000), (224, 224), (150, 224)),
        ((3000, 2000), (300, 100), (150, 100)),
        ((100, 50), (224, 224), (100, 50)),
        ((9000, 1), (224, 224), (224, 1)),
        ((224, 224), (224, 224), (224, 224)),
    ],
)
def test_fitted_size_touches_the_box_and_never_leaves_it(size, box, expected):
    assert fitted_size(size, box) == expected


@pytest.mark.parametrize("size", [(900, 1400), (1400, 900), (1793, 2657), (231, 3000), (225, 300)])
@pytest.mark.parametrize("box", [(224, 224), (384, 256), (64, 512)])
def test_jpeg_is_decoded_at_the_smallest_scale_that_suffices(size, box):
    image = decode(cloudy_jpeg(size), min_size=box)
    height, width = fitted_size((size[1], size[0]), box)
    assert image.height >= height and image.width >= width
    smaller = [(-(-size[1] // s), -(-size[0] // s)) for s in (8, 4, 2) if size[1] // s >= height]
    fitting = [s for s in smaller if s[1] >= width and size[0] // (size[1] // s[0]) >= width]
    assert (image.height, image.width) == (fitting[0] if fitting else (size[1], size[0]))


def test_scaled_decode_looks_like_the_full_one():
    data = cloudy_jpeg((1600, 2400), quality=90)
    full = decode(data).resize((150, 224), Image.Resampling.BICUBIC)
    scaled = decode(data, (224, 224))
    assert scaled.size == (200, 300)
    difference = np.abs(
        np.asarray(full, float) - np.asarray(scaled.resize((150, 224), Image.Resampling.BICUBIC))
    )
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(quarters(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as stored:
        expected = ImageOps.exif_transpose(stored).convert("RGB")
    image = decode(data)
    assert image.size == expected.size
    assert image.tobytes() == expected.tobytes()
    assert ImageOps.exif_transpose(image).tobytes() == expected.tobytes()


def test_target_size_counts_for_the_upright_image():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = cloudy_jpeg((1600, 800), exif=exif)  # upright it is 800 wide and 1600 high
    image = decode(data, min_size=(200, 800))
    assert (image.width, image.height) == (100, 200)


def test_damaged_exif_does_not_spoil_a_sound_picture():
    data = encoded(quarters(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert close_to(decode(data), (255, 0, 0))


STORED_MODES = {
    "TIFF": ["L", "1", "P", "YCbCr", "CMYK", "RGB", "RGBA", "LA"],
    "PNG": ["L", "1", "P", "RGB", "RGBA", "LA"],
    "JPEG": ["L", "1", "YCbCr", "CMYK", "RGB"],
    "GIF": ["L", "1", "P", "RGB", "RGBA", "LA"],
    "BMP": ["L", "1", "P", "RGB", "RGBA"],
    "WEBP": ["L", "P", "RGB", "RGBA", "LA"],
    "JPEG2000": ["L", "RGB", "RGBA", "LA", "YCbCr"],
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in STORED_MODES.items() for mode in modes]
)
def test_every_mode_of_every_format_gives_the_right_rgb(kind, mode):
    colour = (255, 255, 255) if mode in ("L", "1", "LA") else (255, 0, 0)
    image = Image.new("RGB", (40, 30), colour).convert(mode)
    options = {"compression": "jpeg"} if (mode, kind) == ("YCbCr", "TIFF") else {}
    result = decode(encoded(image, kind, **options))
    assert result.mode == "RGB" and result.size == (40, 30)
    assert close_to(result, colour)


def test_adobe_cmyk_jpeg_is_not_inverted():
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    data = encoded(cyan, "JPEG")
    assert b"Adobe" in data
    assert close_to(decode(data), (0, 255, 255))
    assert close_to(decode(data, min_size=(8, 8)), (0, 255, 255))


def test_lab_tiff_becomes_rgb():
    red = Image.new("RGB", (16, 16), (200, 30, 30))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.applyTransform(red, ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
    assert close_to(decode(encoded(stored, "TIFF")), (200, 30, 30))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    image = decode(encoded(Image.fromarray(values), kind))
    assert [image.getpixel((x, 0)) for x in range(4)] == [(v,) * 3 for v in (0, 1, 128, 255)]


def test_big_endian_16_bit_tiff_is_scaled_too():
    stored = Image.frombytes("I;16B", (2, 1), np.array([65535, 0], ">u2").tobytes())
    image = decode(encoded(stored, "TIFF"))
    assert [image.getpixel((x, 0))[0] for x in range(2)] == [255, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 128.0, 255.0]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[-10.0, 0.0, 10.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 1 << 20, 1 << 21]], np.int32), [0, 128, 255]),
        (np.array([[7.0, 7.0, 7.0]], np.float32), [7, 7, 7]),
    ],
)
def test_wide_grey_is_scaled_by_its_range(values, expected):
    image = decode(encoded(Image.fromarray(values), "TIFF"))
    assert [image.getpixel((x, 0))[0] for x in range(3)] == expected


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(kind):
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    options = {"lossless": True} if kind == "WEBP" else {}
    assert decode(encoded(clear, kind, **options)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "transparency"), [("P", 0, 0), ("P", 0, b"\x00"), ("L", 0, 0)]
)
def test_transparent_palette_and_grey_are_laid_on_white(mode, colour, transparency):
    image = Image.new(mode, (8, 8), colour)
    data = encoded(image, "PNG", transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert close_to(decode(data), (255, 0, 0))


def test_paths_bytes_and_streams_are_decoded_alike(tmp_path):
    path = write_image(tmp_path / "a.png")
    with path.open("rb") as stream:
        images_ = [decode(path), decode(str(path)), decode(path.read_bytes()), decode(stream)]
        assert not stream.closed
    assert len({image.tobytes() for image in images_}) == 1
    assert all(type(image) is Image.Image and not image.info for image in images_)


def test_no_file_is_left_open(tmp_path):
    path = write_image(tmp_path / "a.jpg")
    open_before = len(os.listdir("/proc/self/fd"))
    kept = [decode(path, (8, 8)) for _ in range(5)]
    assert len(kept) == 5 and len(os.listdir("/proc/self/fd")) == open_before


def assert_one_line_naming(error: pytest.ExceptionInfo[ImageError], name: str) -> None:
    message = str(error.value)
    assert name in message and "\n" not in message


@pytest.mark.parametrize(
    "content",
    [b"", b"this is a text\n" * 9, b"\xff\xd8\xff", b"GIF89a", b"BM" + b"a" * 40, b"II*\0"],
)
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "DSAH000166.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        decode(path)
    assert_one_line_naming(error, "DSAH000166.jpg")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match="no such file") as error:
        decode(tmp_path / "gone.jpg")
    assert_one_line_naming(error, "gone.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="sheet 7: "):
        decode(b"no image", name="sheet 7")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000"])
@pytest.mark.parametrize("min_size", [None, (50, 50)])
def test_truncated_files_are_errors(kind, min_size):
    noise = np.random.default_rng(0).integers(0, 255, (300, 200, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match="sheet 9") as error:
        decode(data[: len(data) // 2], min_size=min_size, name="sheet 9")
    assert_one_line_naming(error, "broken or cut short")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP"])
def test_damaged_bytes_give_an_image_or_an_image_error(kind):
    data = encoded(quarters((40, 40)), kind)
    chance = random.Random(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(150):
            damaged = bytearray(data)
            for _ in range(4):
                damaged[chance.randrange(min(len(data), 400))] = chance.randrange(256)
            try:
                assert decode(bytes(damaged), (20, 20)).mode == "RGB"
            except ImageError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_other_formats_are_refused(kind):
    with pytest.raises(ImageError, match="not an image of a known format"):
        decode(encoded(quarters((32, 32)), kind))


def test_a_100_megapixel_jpeg_is_decoded_small_and_without_a_warning(tmp_path):
    path = tmp_path / "huge.jpg"
    Image.new("L", (10_000, 10_000), 77).save(path, quality=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = decode(path, min_size=(224, 224))
    assert image.size == (1250, 1250)
    assert close_to(image, (77, 77, 77))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP"])
def test_pillows_own_limit_neither_warns_nor_changes(monkeypatch, kind):
    data = encoded(quarters((200, 300)), kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data).size == (200, 300)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_images_beyond_the_limits_are_refused_by_their_headers():
    small = cloudy_jpeg((64, 64))
    with pytest.raises(ImageError, match=r"4,225 megapixels .* 1,000"):
        decode(claim_jpeg_size(small, (65_000, 65_000)), (224, 224))
    with pytest.raises(ImageError, match=r"400 megapixels .* 250"):
        decode(claim_jpeg_size(small, (20_000, 20_000)))
    with pytest.raises(ImageError, match=r"400 megapixels .* 250"):
        decode(claim_jpeg_size(cloudy_jpeg((64, 64), progressive=True), (20_000, 20_000)), (64, 64))
    png = encoded(quarters(), "PNG")
    with pytest.raises(ImageError, match=r"400 megapixels .* 250"):
        decode(claim_png_size(png, (20_000, 20_000)))


def test_compressed_tiff_is_decoded():
    data = encoded(quarters(), "TIFF", compression="tiff_lzw")
    assert close_to(decode(data), (255, 0, 0))


def test_image_paths_are_told_by_suffix():
    assert all(is_image_path(name) for name in ("a.JPG", "b/c.jpeg", Path("d.tif"), "e.webp"))
    assert not any(is_image_path(name) for name in ("a.txt", "._a.jpg", "jpg", "b.jpg/c"))
    assert all(suffix == suffix.lower() for suffix in images.IMAGE_SUFFIXES)
