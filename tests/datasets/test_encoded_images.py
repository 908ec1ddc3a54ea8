"""Images that are decoded reduced: the places of their pixels, their sizes, and damage."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from hsjp_mm.datasets.encoded_images import (
    EncodedImage,
    largest_reduction,
    read_encoded,
    warp_image,
)
from hsjp_mm.datasets.image_files import ORIENTATION, UnreadableImageError
from tests.helpers import damage_middle

WIDTH, HEIGHT = 517, 403  # no multiple of 2


def ramps() -> np.ndarray:
    """Blue says x, green says y, red tells nothing. A mean of pixels is what their middle says."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([x * 255 / (WIDTH - 1), y * 255 / (HEIGHT - 1), 0 * x + 128], axis=2)
    return image.round().astype(np.uint8)


def slope() -> np.ndarray:
    """A gray image, in which a pixel to the right is 0.3 levels, and one downwards 0.2."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (0.3 * x + 0.2 * y).round().astype(np.uint8)


def encode(image: np.ndarray, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    picture = Image.fromarray(image if image.ndim == 2 else image[..., ::-1])
    if options.pop('cmyk', False):
        picture = picture.convert('CMYK')
    picture.save(file, 'JPEG', exif=exif, **{'quality': 97, 'subsampling': 0, **options})
    return file.getvalue()


def stock(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def read(content: bytes) -> EncodedImage:
    image = read_encoded(content, 'a.jpg')
    assert image is not None
    return image


def around_the_middle(shape: tuple[int, ...], scale: float, angle: float = 20.0) -> np.ndarray:
    """To a crop of half the width and height at this scale, that the image fills."""
    height, width = shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    matrix[:, 2] -= np.array([width, height]) / 2 * (1 - scale / 2)
    return matrix


def half(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return int(shape[1] * scale / 2), int(shape[0] * scale / 2)


@pytest.mark.parametrize('axis', [None, 0, 1, (0, 1)])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_reduced_pixels_stay_in_their_places(orientation, axis):
    """A displaced crop is brighter on a slope and darker on its negative; rounding is the same."""
    contents = [encode(gray, orientation) for gray in (slope(), 255 - slope())]
    for scale in (0.5, 0.25, 0.125):
        means = []
        for content in contents:
            whole, image = stock(content), read(content)
            assert image.shape == whole.shape
            if axis is not None:
                whole, image = np.ascontiguousarray(np.flip(whole, axis)), np.flip(image, axis)
            matrix, size = around_the_middle(whole.shape, scale), half(whole.shape, scale)
            error = warp_image(image, matrix, size) - cv2.warpAffine(whole, matrix, size) * 1.0
            assert image.reduction == 1 / scale
            assert np.abs(error).max() <= 3
            means.append(error.mean())
        assert abs(means[0] - means[1]) / 2 < 0.05  # 0.3 is a pixel of the whole image


def test_the_corners_of_a_reduced_image_by_hand():
    """Its first pixel is that of 0 to 3; mirrored that of −3 to 0, for 517 is 4·130 − 3."""
    image = read(encode(ramps()))
    identity = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    pixels, matrix = image.for_crop(identity)
    assert pixels.shape == (101, 130, 3)
    np.testing.assert_allclose(matrix @ [0, 0, 1], [1.5 / 4, 1.5 / 4])
    pixels, matrix = np.flip(image, 1).for_crop(identity)
    np.testing.assert_allclose(matrix @ [0, 0, 1], [(1.5 - 3) / 4, 1.5 / 4])


@pytest.mark.parametrize(
    ('matrix', 'expected'),
    [
        ([[2, 0], [0, 2]], 1),
        ([[0.51, 0], [0, 0.51]], 1),
        ([[0.5, 0], [0, 0.5]], 2),
        ([[0.26, 0], [0, 0.26]], 2),
        ([[0, -0.25], [0.25, 0]], 4),
        ([[0.01, 0], [0, 0.01]], 8),
        ([[0.1, 0], [0, 0.5]], 2),  # the larger of two scales counts
        ([[0.25, 0.25], [0, 0.25]], 2),  # sheared by 1, which stretches a diagonal by 1.62
        ([[-0.125, 0], [0, 0.125]], 8),
    ],
)
def test_the_largest_reduction(matrix, expected):
    assert largest_reduction(np.column_stack([np.array(matrix, float), [7, -9]])) == expected


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'cmyk': True, 'subsampling': -1}])
def test_without_reduction_it_is_the_stock_crop(orientation, options):
    content = encode(ramps(), orientation, **options)
    matrix = around_the_middle(stock(content).shape, 0.7)
    for axis in (None, 1):
        whole, image = stock(content), read(content)
        if axis is not None:
            whole, image = np.ascontiguousarray(np.flip(whole, axis)), np.flip(image, axis)
        expected = cv2.warpAffine(whole, matrix, (90, 80))
        assert np.array_equal(warp_image(image, matrix, (90, 80)), expected)


@pytest.mark.parametrize(
    ('image', 'options'),
    [
        (ramps()[..., 0], {}),
        (ramps(), {'cmyk': True, 'subsampling': -1}),
        (ramps(), {'progressive': True}),
        (ramps(), {'subsampling': 2}),
    ],
)
def test_gray_and_odd_files(image, options):
    content = encode(image, 6, **options)
    whole = stock(content)
    matrix, size = around_the_middle(whole.shape, 0.25), half(whole.shape, 0.25)
    made = warp_image(read(content), matrix, size)
    error = made.astype(float) - cv2.warpAffine(whole, matrix, size)
    assert made.shape == (*size[::-1], 3)
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.25 and np.abs(error).max() <= 6


def test_several_crops_are_cut_out_of_one_array_that_is_large_enough(monkeypatch):
    image, decode, calls = read(encode(ramps())), cv2.imdecode, []
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: calls.append(args[1]) or decode(*args))
    for scale in (0.25, 0.125, 0.5, 0.125):
        warp_image(image, around_the_middle(image.shape, scale), (20, 20))
    assert calls == [cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_2]


@pytest.mark.parametrize('scale', [1, 0.5, 0.25, 0.125])
@pytest.mark.parametrize('cut', [False, True])
def test_damage_is_found_at_every_size(scale, cut, tmp_path):
    rough = np.random.RandomState(0).randint(0, 256, (320, 480, 3), dtype=np.uint8)
    path = tmp_path / 'a.jpg'
    path.write_bytes(encode(rough))
    if cut:
        path.write_bytes(path.read_bytes()[:-3000])
    else:
        damage_middle(path)
    image = read_encoded(path.read_bytes(), str(path), ' (instance 5)')
    with pytest.raises(UnreadableImageError, match=r'a\.jpg \(instance 5\) cannot be read: ') as at:
        warp_image(image, around_the_middle((320, 480), scale), (20, 20))
    assert at.value.path == str(path)


def test_an_orientation_in_xmp_data_alone_turns_nothing():
    """As with OpenCV; Pillow's getexif() would tell it."""
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    file = io.BytesIO()
    Image.fromarray(ramps()).save(file, 'JPEG', xmp=xmp)
    assert Image.open(file).getexif()[ORIENTATION] == 6
    assert read(file.getvalue()).shape == stock(file.getvalue()).shape == (HEIGHT, WIDTH, 3)


def test_another_size_than_the_head_says():
    image = EncodedImage(encode(ramps()), 'a.jpg', (HEIGHT, WIDTH), (False, False))
    with pytest.raises(
        UnreadableImageError, match='403×517 pixels, but reduced by 2 it is 259×202'
    ):
        warp_image(image, np.array([[0.5, 0, 0], [0, 0.5, 0]]), (20, 20))


def test_other_formats_are_left_to_the_stock_loader():
    png = cv2.imencode('.png', ramps())[1].tobytes()
    for content in (png, b'', b'no image', encode(ramps())[:20]):
        assert read_encoded(content, 'a.png') is None


def test_what_takes_an_array_fails():
    image = read(encode(ramps()))
    for use in (np.mean, lambda one: cv2.warpAffine(one, np.eye(2, 3), (9, 9))):
        with pytest.raises((TypeError, cv2.error)):
            use(image)
    pixels = ramps()
    assert warp_image(pixels, np.eye(2, 3), (9, 9)).tolist() == pixels[:9, :9].tolist()
