import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

from hsjp_mm.datasets.part_masks import box_frame, paint, require_parts
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS
from tests.dense_bodies import PLAIN_PARTS, encode, frame_labels, image_labels, write_dense_bodies
from tests.helpers import ROOT

STEPS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.TopdownDenseAffine', input_size=(48, 64)),
    dict(type='PackPoseInputs'),
]


def build(folder, ann_file: str = 'parts.json', kind: str = 'PartMaskDataset', **options):
    return DATASETS.build(
        dict(
            type=f'hsjp_mm.{kind}', data_root=str(folder), ann_file=ann_file,
            data_prefix=dict(img='images'), pipeline=STEPS, **options,
        )
    )  # fmt: skip


def changed(folder, tmp_path, name: str, change) -> str:
    """The path of a copy of an annotation file with a change."""
    content = json.loads((folder / f'{name}.json').read_text())
    change(content)
    (tmp_path / 'changed.json').write_text(json.dumps(content))
    return str(tmp_path / 'changed.json')


def test_persons_without_masks_are_left_out_and_counted(dense_bodies, log_file):
    for name, parts, key in (
        ('parts', PLAIN_PARTS, 'part_masks'),
        ('densepose', DENSEPOSE_PARTS, 'dp_masks'),
    ):
        data = build(dense_bodies, f'{name}.json')
        assert len(data) == 4
        assert data.metainfo['parts'] == parts
        assert data.left_out[f'without {key}'] == 1
    assert '4 of 5 boxes' in log_file.read_text()


def test_a_subset_and_a_held_out_part_keep_their_own_masks(dense_bodies):
    """An image's own labels, by its own box."""
    for options in (dict(num_samples=2), dict(held_out=0.5), dict(held_out=0.5, part='val')):
        data = build(dense_bodies, **options)
        assert len(data) == 2
        for index in range(2):
            info = data.get_data_info(index)
            box = json.loads((dense_bodies / 'parts.json').read_text())['annotations'][info['id']]
            shape = Image.open(info['img_path']).size[::-1]
            assert (
                paint(info['part_masks']) == image_labels(box['bbox'], shape, PLAIN_PARTS)
            ).all()


def test_the_middle_of_a_masks_pixel_lies_in_the_box():
    """A box of 256×512 pixels at (10, 20): the mask's pixels are 1×2 pixels."""
    frame = box_frame((10, 20, 256, 512))
    # the first covers x from 10 to 11 and y from 20 to 22; the first pixel's middle is 0 here
    assert (frame @ [0, 0, 1]).tolist() == [10.0, 20.5]
    assert (frame @ [255, 255, 1]).tolist() == [265.0, 530.5]


def test_later_masks_cover_earlier_ones_and_plain_rle_is_read():
    one, two = np.zeros((3, 4), bool), np.zeros((3, 4), bool)
    one[:2], two[1:, 1:] = True, True
    runs = {'size': [3, 4], 'counts': [4, 2, 1, 2, 1, 2]}  # by columns: rows 1 and 2 from column 1
    for second in (encode(two), runs):
        assert paint([encode(one), None, second, []]).tolist() == [
            [1, 1, 1, 1],
            [1, 3, 3, 3],
            [0, 3, 3, 3],
        ]
    assert paint([None, []]).tolist() == [[0]]
    with pytest.raises(ValueError, match='different sizes'):
        paint([encode(one), encode(np.ones((2, 2)))])


def test_label_pictures_become_masks_as_the_documentation_shows():
    page = (ROOT / 'docs/dense-labels.md').read_text()
    [code] = [code for code in re.findall('```python\n(.*?)```', page, re.S) if 'def ' in code]
    names: dict = {}
    exec(code, names)
    labels = np.random.RandomState(0).randint(0, 4, (7, 5))
    assert (paint(json.loads(json.dumps(names['part_masks'](labels, 3)))) == labels).all()


def test_official_masks_are_read_as_they_were_painted(dense_bodies):
    data = build(dense_bodies, 'densepose.json')
    assert (paint(data.get_data_info(1)['part_masks']) == frame_labels(DENSEPOSE_PARTS)).all()


def drop_a_mask(content):
    content['annotations'][1]['dp_masks'].pop()


def of_another_size(content):
    content['annotations'][1]['dp_masks'][0] = {'size': [128, 128], 'counts': 'abc'}


def one_for_all(content):
    content['annotations'][1]['dp_masks'] = {'size': [256, 256], 'counts': 'abc'}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop_a_mask, r'annotations, id 1: dp_masks must be a list of 14 masks.*it is 13 of them'),
        (of_another_size, r'id 1: the mask of torso must be an RLE.*256×256 pixels'),
        (one_for_all, r'id 1: dp_masks must be a list of 14 masks, one a part; it is dict'),
    ],
)
def test_faulty_masks_are_refused(dense_bodies, tmp_path, change, message):
    path = changed(dense_bodies, tmp_path, 'densepose', change)
    with pytest.raises(ValueError, match=message):
        build(dense_bodies, path)


def test_a_side_without_its_counterpart_is_refused(dense_bodies, tmp_path):
    def change(content):
        content['categories'][0]['parts'][2] = 'other_arm'

    path = changed(dense_bodies, tmp_path, 'parts', change)
    with pytest.raises(ValueError, match="'right_upper_arm' needs its counterpart"):
        build(dense_bodies, path)


def test_a_file_without_any_masks_is_refused(dense_bodies, tmp_path):
    def change(content):
        for row in content['annotations']:
            row.pop('dp_masks', None)

    path = changed(dense_bodies, tmp_path, 'densepose', change)
    with pytest.raises(ValueError, match=r'no box is left.*5 without dp_masks'):
        build(dense_bodies, path)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(bbox_file='boxes.json'), "bbox_file='boxes.json': PartMaskDataset has labels"),
        (dict(image_list='list.txt'), "image_list='list.txt': PartMaskDataset has labels"),
        (dict(ann_file=''), "ann_file='': PartMaskDataset needs a file with part masks"),
    ],
)
def test_sources_without_labels_are_refused(dense_bodies, options, message):
    with pytest.raises(ValueError, match=message):
        build(dense_bodies, **options)


def test_masks_of_another_image_than_the_one_read_are_refused(tmp_path):
    """The image was halved after annotation, and its entry says so; the masks were forgotten."""
    folder = write_dense_bodies(tmp_path)
    with Image.open(folder / 'images/0.png') as image:
        image.resize((60, 45)).save(folder / 'images/0.png')
    content = json.loads((folder / 'parts.json').read_text())
    content['images'][0].update(width=60, height=45)
    (folder / 'parts.json').write_text(json.dumps(content))
    data = build(folder, test_mode=True)
    with pytest.raises(RuntimeError, match=r'\(height, width\) = \(45, 60\).*are \(90, 120\)'):
        data[0]
    data = build(folder)  # in training another one takes its place
    skipped = data[0]['data_samples'].metainfo['skipped']
    assert set(skipped) == {str(folder / 'images/0.png')}


def test_an_image_turned_by_exif_does_not_keep_its_masks(tmp_path):
    folder = write_dense_bodies(tmp_path)
    with Image.open(folder / 'images/0.png') as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert('RGB').save(folder / 'images/0.jpg', exif=exif)
    content = json.loads((folder / 'densepose.json').read_text())
    content['images'][0]['file_name'] = '0.jpg'
    (folder / 'densepose.json').write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match='turned by its EXIF data, and its labels'):
        build(folder, 'densepose.json', test_mode=True)[0]


def test_a_model_of_other_parts_is_refused(dense_bodies):
    data = build(dense_bodies)
    require_parts(data, PLAIN_PARTS)
    wrapped = SimpleNamespace(datasets=[SimpleNamespace(dataset=data)], metainfo={})
    require_parts(wrapped, PLAIN_PARTS)
    with pytest.raises(ValueError, match=r'the data labels the parts torso, right_.*hand'):
        require_parts(wrapped, DENSEPOSE_PARTS)
    with pytest.raises(ValueError, match='SimpleNamespace has no masks of parts'):
        require_parts(SimpleNamespace(metainfo={}), PLAIN_PARTS)
