"""Pictures go where nothing is lost."""

import pytest

from hsjp_mm.visualization.picture_files import picture_paths


def test_pictures_keep_names_and_subfolders(tmp_path):
    (tmp_path / 'b').mkdir()
    for name in ('a.jpg', 'b/a.png'):
        (tmp_path / name).touch()
    paths = picture_paths(tmp_path, ['a.jpg', 'b/a.png'], tmp_path / 'out')
    assert paths == [tmp_path / 'out/a.png', tmp_path / 'out/b/a.png']
    assert not (tmp_path / 'out').exists()


def test_two_of_one_name_are_both_named(tmp_path):
    with pytest.raises(ValueError, match=r'images: .*/a\.jpg and .*/a\.png have the same name'):
        picture_paths(tmp_path, ['a.jpg', 'b.jpg', 'a.png'], 'out')


def test_no_picture_replaces_an_image(tmp_path):
    for name in ('a.png', 'b.jpg', 'c.jpg', 'c.png'):
        (tmp_path / name).touch()
    (tmp_path / 'link').symlink_to(tmp_path)
    for out in (tmp_path, tmp_path / 'link'):
        with pytest.raises(ValueError, match=r"out='.*' must be another folder: .*/a\.png"):
            picture_paths(tmp_path, ['b.jpg', 'a.png'], out)
    # c.png is none of the images that are drawn
    assert picture_paths(tmp_path, ['b.jpg', 'c.jpg'], tmp_path)[1] == tmp_path / 'c.png'


@pytest.mark.parametrize('link', ['symlink_to', 'hardlink_to'])
def test_a_link_to_an_image_is_not_written_through(link, tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos/a.png').touch()
    (tmp_path / 'out').mkdir()
    getattr(tmp_path / 'out/a.png', link)(tmp_path / 'photos/a.png')
    with pytest.raises(ValueError, match='must be another folder'):
        picture_paths(tmp_path / 'photos', ['a.png'], tmp_path / 'out')
