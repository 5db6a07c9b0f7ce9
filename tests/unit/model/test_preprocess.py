"""Images become the tensors that furiosa-models and the MLPerf reference make of them; broken files are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.dataset.coco_categories import COCO_CATEGORIES
from harness.model.coco_labels import CLASSES
from harness.model.image_file import decode_image
from harness.model.ssd_resnet34.preprocess import PREPROCESS_KEY, preprocess, to_tensor


def picture(height: int = 60, width: int = 90, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (6, 9, channels), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image: np.ndarray, kind: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(kind, image, options)[1].tobytes()


def expected(path: Path, with_scaling: bool) -> np.ndarray:
    """What furiosa-models 0.10 documents, step by step and in its order."""
    image: np.ndarray = np.asarray(cv2.imread(str(path)))
    if with_scaling:
        image = np.array(image, dtype=np.float32)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, (1200, 1200), interpolation=cv2.INTER_LINEAR)
    if with_scaling:
        mean = np.array([0.485, 0.456, 0.406], dtype=np.float32)
        std = np.array([0.229, 0.224, 0.225], dtype=np.float32)
        image = (image / 255.0 - mean) / std
    return image.transpose(2, 0, 1)


def assert_as_expected(path: Path) -> None:
    content = path.read_bytes()
    for dtype in ("uint8", "float32"):
        tensor = preprocess(content, dtype)
        assert tensor.dtype == dtype
        assert tensor.flags.c_contiguous
        np.testing.assert_array_equal(tensor, expected(path, with_scaling=dtype == "float32"))


def test_real_images_of_many_sizes_give_the_expected_tensors_bit_for_bit(data: Path) -> None:
    for path in sorted((data / "coco/val2017").glob("*.jpg"))[::30]:
        assert_as_expected(path)


def test_real_grey_images_give_three_equal_channels(data: Path) -> None:
    # the three grey ones among the 243
    grey = [
        path
        for path in sorted((data / "coco/val2017").glob("*.jpg"))
        if cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 2
    ]
    assert len(grey) == 3
    assert_as_expected(grey[0])
    tensor = preprocess(grey[0].read_bytes(), "uint8")
    assert np.array_equal(tensor[0], tensor[1])
    assert np.array_equal(tensor[0], tensor[2])


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_an_encoded_image_gives_the_expected_tensor(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image{kind}"
    path.write_bytes(encoded(picture(), kind))
    assert_as_expected(path)


def test_red_comes_first_and_scaling_is_that_of_imagenet() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 2] = 255
    assert to_tensor(red, "uint8")[:, 600, 600].tolist() == [255, 0, 0]
    np.testing.assert_allclose(
        to_tensor(red, "float32")[:, 600, 600], [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-6
    )


def test_float_tensors_are_not_rounded_by_the_resize() -> None:
    ramp = np.repeat(np.arange(0, 8, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    values = to_tensor(ramp, "float32")[0, 0] * np.float32(0.229) + np.float32(0.485)
    assert len(np.unique((values * 255).round(3))) > 500


def test_grey_arrays_are_taken_with_and_without_a_channel_axis() -> None:
    grey = picture(channels=1).reshape(60, 90)
    np.testing.assert_array_equal(to_tensor(grey, "uint8"), to_tensor(grey[:, :, np.newaxis], "uint8"))
    np.testing.assert_array_equal(to_tensor(grey, "uint8"), to_tensor(np.dstack([grey] * 3), "uint8"))


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4, 3), np.float32), ((4, 4, 4), np.uint8), ((4,), np.uint8)])
def test_arrays_that_are_no_images_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"not an? .*image"):
        to_tensor(np.zeros(shape, dtype), "uint8")


def test_another_input_type_is_refused() -> None:
    with pytest.raises(ValueError, match='no such input type: "int8"'):
        to_tensor(picture(), "int8")


def test_an_image_is_turned_as_its_exif_orientation_says_like_imread_does(tmp_path: Path) -> None:
    orientation_6 = b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    segment = b"Exif\x00\x00" + orientation_6
    jpeg = encoded(picture(60, 90))
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    assert decode_image(turned).shape == (90, 60, 3)
    np.testing.assert_array_equal(decode_image(turned), cv2.imread(str(tmp_path / "turned.jpg")))


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (90, 60), (427, 640), (1200, 1200), (1201, 1199), (2000, 1500)])
def test_planes_resized_one_by_one_are_those_of_the_whole_image(size: tuple[int, int]) -> None:
    image = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
    whole = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (1200, 1200), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(to_tensor(image, "uint8"), whole.transpose(2, 0, 1))


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_jpegs_of_every_kind_have_opencvs_pixels(sampling: str, progressive: int) -> None:
    factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{sampling}")
    options = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    jpeg = encoded(picture(61, 93), ".jpg", *options)
    np.testing.assert_array_equal(decode_image(jpeg), cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def test_real_photographs_have_opencvs_pixels(data: Path) -> None:
    for path in sorted((data / "coco/val2017").glob("*.jpg")):
        np.testing.assert_array_equal(decode_image(path.read_bytes()), cv2.imread(str(path)), err_msg=path.name)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    "options",
    [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)],
    ids=["baseline", "progressive", "restart markers"],
)
def test_a_truncated_jpeg_is_refused(options: tuple[int, ...], kept: float) -> None:
    whole = encoded(picture(), ".jpg", *options)
    assert decode_image(whole).shape == (60, 90, 3)
    with pytest.raises(ValueError, match="is truncated or corrupt"):
        decode_image(whole[: int(len(whole) * kept)])


def test_a_real_jpeg_that_lacks_only_its_last_byte_is_refused(data: Path) -> None:
    content = (data / "coco/val2017/000000397133.jpg").read_bytes()
    with pytest.raises(ValueError, match="is truncated or corrupt"):
        decode_image(content[:-1])


def test_a_jpeg_that_would_come_out_half_grey_is_refused(data: Path) -> None:
    content = (data / "coco/val2017/000000397133.jpg").read_bytes()
    half = len(content) // 2
    for damaged in (
        content[:half] + bytes(len(content) - half),  # a download that only reserved its space
        content[:half] + bytes(4096) + content[half + 4096 :],  # a lost block
        content[:half] + b"\xff\xd9",  # closed too early
    ):
        with pytest.raises(ValueError, match=r"is truncated or corrupt: .*[Pp]remature end"):
            decode_image(damaged)


def test_a_real_jpeg_with_a_few_bytes_too_many_is_taken(data: Path) -> None:
    content = (data / "coco/val2017/000000397133.jpg").read_bytes()
    padded = content[:-2] + bytes(4) + content[-2:]
    np.testing.assert_array_equal(decode_image(padded), decode_image(content))


def test_bytes_after_the_end_of_a_jpeg_do_not_matter() -> None:
    whole = encoded(picture())
    np.testing.assert_array_equal(decode_image(whole + b"\x00appended"), decode_image(whole))


def test_a_truncated_or_corrupt_png_is_refused() -> None:
    whole = encoded(picture(), ".png")
    for damaged in (whole[: len(whole) // 2], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        with pytest.raises(ValueError, match="is truncated or corrupt: it cannot be decoded"):
            decode_image(damaged)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"<html>404</html>", "is neither a JPEG nor a PNG image"),
        (b"\xff\xd8\x00\x00", "is truncated or corrupt"),
        (b"\xff\xd8\xff\xd9", "is truncated or corrupt"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "is truncated or corrupt"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(content: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode_image(content)


def test_an_image_too_big_for_the_decoder_is_refused() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode_image(png)


def test_the_key_names_the_size_the_filter_the_order_and_the_decoder() -> None:
    for part in ("1200x1200", "linear", "rgb", "uint8 chw", f"opencv {cv2.__version__[:3]}"):
        assert part in PREPROCESS_KEY


def test_there_are_81_names_with_background_first_and_then_cocos_in_its_order() -> None:
    assert ("background", *(category.name for category in COCO_CATEGORIES)) == CLASSES
    assert len(CLASSES) == 81
