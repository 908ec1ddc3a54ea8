import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hsjp_mm.datasets.encoded_images import read_encoded
from hsjp_mm.datasets.image_files import (
    ORIENTATION,
    UnreadableImageError,
    decoding,
    find_images,
    local_name,
    named_images,
    read_image,
    stored_size,
    turn_boxes,
    turned_size,
    write_picture,
)
from tests.helpers import damage_middle

SIZE = (48, 32)


@pytest.fixture
def photo(tmp_path):
    """A function that writes a JPEG of blocks, and gives its path."""

    def write(name: str = 'a.jpg', **options) -> str:
        blocks = np.random.RandomState(0).randint(0, 256, (20, 30, 3), dtype=np.uint8)
        pixels = cv2.resize(blocks, (480, 320), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(pixels[..., ::-1]).save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write


# ------------------------------------------------------------------------------- finding


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_images_of_folders_and_of_links_to_folders(tmp_path):
    root = tmp_path / 'root'
    touch(root, 'b/2.PNG', 'b/deep/1.jpg', 'a.txt', 'z.jpeg')
    touch(tmp_path, 'elsewhere/3.jpg')
    (root / 'link').symlink_to(tmp_path / 'elsewhere')
    assert find_images(root) == ['b/2.PNG', 'b/deep/1.jpg', 'link/3.jpg', 'z.jpeg']
    (tmp_path / 'to_root').symlink_to(root)
    assert find_images(tmp_path / 'to_root') == find_images(root)


def test_circles_and_second_ways_count_once_by_the_folders_own_name(tmp_path):
    touch(tmp_path, 'a/1.jpg', 'b/2.jpg')
    (tmp_path / 'a/up').symlink_to(tmp_path)
    (tmp_path / 'a/other').symlink_to(tmp_path / 'b')
    (tmp_path / 'a/self').symlink_to(tmp_path / 'a')
    assert find_images(tmp_path) == ['a/1.jpg', 'b/2.jpg']
    assert find_images(tmp_path / 'a') == ['1.jpg', 'other/2.jpg']


@pytest.mark.parametrize('backwards', [False, True])
def test_of_two_links_to_a_folder_the_first_by_name_counts(tmp_path, monkeypatch, backwards):
    touch(tmp_path, 'elsewhere/1.jpg', 'root/a/x', 'root/b/x', 'root/c/x')
    for name in ('a', 'b', 'c'):
        (tmp_path / 'root' / name / 'link').symlink_to(tmp_path / 'elsewhere')

    def walk(top, in_any_order=os.walk):  # as file systems list folders
        for place, folders, files in in_any_order(top):
            folders.sort(reverse=backwards)
            yield place, folders, files

    monkeypatch.setattr(os, 'walk', walk)
    assert find_images(tmp_path / 'root') == ['a/link/1.jpg']


def test_a_folder_with_the_name_of_an_image_is_none(tmp_path):
    touch(tmp_path, 'crops.jpg/1.jpg')
    assert find_images(tmp_path) == ['crops.jpg/1.jpg']


def test_windows_separators_only_where_the_file_exists_that_way(tmp_path):
    touch(tmp_path, 'a/1.jpg', 'b\\2.jpg', 'b/2.jpg')
    assert local_name(tmp_path, 'a\\1.jpg') == 'a/1.jpg'
    assert local_name(tmp_path, 'b\\2.jpg') == 'b\\2.jpg'
    assert local_name(tmp_path, 'c\\3.jpg') == 'c\\3.jpg'
    assert local_name(tmp_path, 'none.jpg') == 'none.jpg'


# -------------------------------------------------------------------------------- damage


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_blocks': 4}])
def test_a_jpeg_damaged_in_its_middle_is_refused(photo, options, capfd):
    path = photo(**options)
    sound = read_image(path)
    assert sound.shape == (320, 480, 3)
    damage_middle(path)
    with pytest.raises(UnreadableImageError, match=r'a\.jpg cannot be read: ') as caught:
        read_image(path)
    assert caught.value.path == path
    assert 'Corrupt' not in capfd.readouterr().err


def test_opencv_alone_does_not_refuse_it(photo, capfd):
    path = photo()
    sound = read_image(path)
    damage_middle(path)
    assert (cv2.imread(path) != sound).mean() > 0.01
    assert 'Corrupt JPEG data' in capfd.readouterr().err


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.bmp', 'a.webp', 'a.tif'])
def test_truncated_and_other_files(photo, name):
    path = photo(name)
    assert read_image(path).shape == (320, 480, 3)
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(UnreadableImageError, match=name):
        read_image(path)
    for content in (b'', b'not a picture'):
        with open(path, 'wb') as file:
            file.write(content)
        with pytest.raises(UnreadableImageError, match=name):
            read_image(path)
    os.remove(path)
    with pytest.raises(UnreadableImageError, match=name):
        read_image(path)


def test_a_damaged_png_is_refused(photo):
    path = photo('a.png')
    damage_middle(path)
    with pytest.raises(UnreadableImageError, match=r'a\.png cannot be read'):
        read_image(path)


def test_what_others_write_meanwhile_comes_out_and_is_no_damage(capfd):
    with decoding('a.jpg'):
        os.write(2, b'libpng warning: iCCP: known incorrect sRGB profile\n')
        os.write(2, b'from a thread\n')
    assert capfd.readouterr().err.splitlines() == [
        'libpng warning: iCCP: known incorrect sRGB profile',
        'from a thread',
    ]
    descriptors = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0
    with pytest.raises(UnreadableImageError, match='cannot be read: inside'), decoding('a.jpg'):
        os.write(2, b'before\n')
        raise ValueError('inside')
    os.write(2, b'afterwards\n')
    assert capfd.readouterr().err == 'before\nafterwards\n'
    if descriptors:
        assert len(os.listdir('/proc/self/fd')) == descriptors


# --------------------------------------------------------------------------- orientation


@pytest.mark.parametrize('orientation', range(1, 9))
def test_boxes_turn_as_opencv_turns_the_image(orientation, tmp_path):
    width, height = SIZE
    left, top, right, bottom = box = 6, 4, 22, 12
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / 'a.jpg', exif=exif, quality=100)
    assert stored_size(tmp_path / 'a.jpg') == (SIZE, orientation)
    read = read_image(tmp_path / 'a.jpg')
    assert turned_size(SIZE, orientation) == read.shape[1::-1]
    rows, columns = np.nonzero(read[..., 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    boxes = np.array([box, (0, 0, width, height)], np.float32)
    turned = turn_boxes(boxes, SIZE, orientation)
    assert turned.tolist() == [found, [0, 0, *turned_size(SIZE, orientation)]]
    assert turned.dtype == np.float32


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tif'])
def test_turned_sizes_are_those_of_the_image_as_it_is_read(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f'a.{ending}'
    Image.new('RGB', SIZE).save(path, exif=exif)
    assert turned_size(*stored_size(path)) == read_image(path).shape[1::-1]
    assert stored_size(path)[0] == SIZE


def test_an_orientation_in_xmp_alone_turns_nothing(tmp_path):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    Image.new('RGB', SIZE).save(tmp_path / 'a.jpg', xmp=xmp)
    assert stored_size(tmp_path / 'a.jpg') == (SIZE, 1)
    assert read_image(tmp_path / 'a.jpg').shape[1::-1] == SIZE


def test_sizes_without_exif_and_without_an_image(photo, tmp_path):
    assert stored_size(photo()) == ((480, 320), 1)
    assert stored_size(photo('a.png')) == ((480, 320), 1)
    (tmp_path / 'b.jpg').write_bytes(b'not a picture')
    for name in ('b.jpg', 'none.jpg'):
        with pytest.raises(UnreadableImageError, match=rf'{name} cannot be read'):
            stored_size(tmp_path / name)


def test_a_picture_is_written_or_an_error(tmp_path):
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = tmp_path / 'new/folder/a.png'
    write_picture(path, picture)
    np.testing.assert_array_equal(cv2.imread(str(path)), picture)
    (tmp_path / 'b.png').mkdir()
    with pytest.raises(OSError, match=r'b\.png cannot be written'):
        write_picture(tmp_path / 'b.png', picture)
    with pytest.raises(ValueError, match=r'a\.txt must end as a picture'):
        write_picture(tmp_path / 'a.txt', picture)


# --------------------------------------------------------------------------- files and folders


def test_files_and_folders_are_named_below_one_folder(tmp_path, monkeypatch):
    for name in ('a/1.jpg', 'a/b/2.png', 'c/3.jpg', 'c/notes.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert named_images('a') == (Path('a'), ['1.jpg', 'b/2.png'])
    assert named_images(['a']) == (Path('a'), ['1.jpg', 'b/2.png'])
    assert named_images(['c/3.jpg', 'a']) == (tmp_path, ['c/3.jpg', 'a/1.jpg', 'a/b/2.png'])
    assert named_images(['a/b/2.png', 'a/1.jpg', 'a/b']) == (tmp_path / 'a', ['b/2.png', '1.jpg'])
    assert named_images('c/3.jpg') == (tmp_path / 'c', ['3.jpg'])
    (tmp_path / 'empty').mkdir()
    for paths, error, said in (
        (['a', 'no.jpg'], FileNotFoundError, r'no\.jpg does not exist'),
        ('empty', FileNotFoundError, 'empty holds no image'),
        (['c/notes.txt'], ValueError, r'notes\.txt is no image'),
    ):
        with pytest.raises(error, match=said):
            named_images(paths)


def test_heads_of_very_large_photographs_are_read(photo):
    """Of 200 megapixels, which Pillow would not open; OpenCV decodes them."""
    path = Path(photo())
    content = path.read_bytes()
    sizes = content.index((320).to_bytes(2, 'big') + (480).to_bytes(2, 'big'))
    large = (12240).to_bytes(2, 'big') + (16320).to_bytes(2, 'big')
    path.write_bytes(content[:sizes] + large + content[sizes + 4 :])
    limit = Image.MAX_IMAGE_PIXELS
    assert stored_size(path) == ((16320, 12240), 1)
    assert read_encoded(path.read_bytes(), str(path)).shape[:2] == (12240, 16320)
    assert limit is not None and limit == Image.MAX_IMAGE_PIXELS
