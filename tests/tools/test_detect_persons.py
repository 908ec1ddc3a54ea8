"""Boxes of a detector, made by the tool and read by PersonCropDataset."""

import json
import runpy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from hsjp_mm.datasets import PersonCropDataset
from hsjp_mm.datasets.detections import detect
from hsjp_mm.datasets.image_files import UnreadableImageError
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/detect_persons.py'))['main']
CONFIG = """
_base_ = ['mmdet::retinanet/retinanet_r18_fpn_1x_coco.py']
model = dict(
    backbone=dict(base_channels=8, stem_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1),
    test_cfg=dict(score_thr=0.0, nms_pre=20, max_per_img=10),
)
"""


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    """An untrained detector: its boxes mean nothing, but they are boxes."""
    folder = tmp_path_factory.mktemp('detector')
    (folder / 'detector.py').write_text(CONFIG)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / 'detector.py').model)
    meta = {'dataset_meta': {'classes': ('cat', *(f'x{i}' for i in range(78)), 'person')}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'detector.pth')
    return str(folder / 'detector.py'), str(folder / 'detector.pth')


@pytest.mark.slow
def test_tool_writes_what_the_data_set_reads(detector, tiny_coco, tmp_path):
    names = ['person', 'cat', *(f'x{i}' for i in range(78))]
    arguments = [*detector, str(tiny_coco / 'images'), '--out', str(tmp_path / 'boxes.json')]
    assert main([*arguments, '--score-thr', '0.0', '--categories', *names]) == 0
    boxes = json.loads((tmp_path / 'boxes.json').read_text())
    images = json.loads((tmp_path / 'boxes_images.json').read_text())
    assert [image['file_name'] for image in images['images']] == ['1.png', '2.png', '3.png']
    assert images['images'][0]['width'] == 120 and images['images'][0]['height'] == 80
    assert {'id': 80, 'name': 'person'} in images['categories']
    assert {box['image_id'] for box in boxes} == {1, 2, 3}
    for box in boxes:
        assert set(box) == {'image_id', 'category_id', 'bbox', 'score'}
        image = images['images'][box['image_id'] - 1]
        x, y, width, height = box['bbox']
        assert x >= 0 and x + width <= image['width'] + 0.1 and width >= 0
        assert y >= 0 and y + height <= image['height'] + 0.1 and height >= 0
    dataset = PersonCropDataset(
        str(tmp_path / 'boxes_images.json'),
        bbox_file=str(tmp_path / 'boxes.json'),
        category_names=names,
        data_prefix=dict(img=str(tiny_coco / 'images')),
    )
    large = [box for box in boxes if min(box['bbox'][2:]) >= 1]
    assert len(dataset) == pytest.approx(len(large), abs=2)  # a box cut at the border may differ


def test_what_cannot_be_had_is_named(detector, tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no image'):
        detect(str(tmp_path), *detector)
    (tmp_path / 'a.png').touch()
    with pytest.raises(ValueError, match=r"no \['horse'\]; it has \['cat'"):
        detect(str(tmp_path), *detector, category_names=['horse'])


@pytest.mark.slow
def test_unreadable_images_are_left_out_and_links_followed(detector, tiny_coco, tmp_path, log_file):
    (tmp_path / 'images/d.png').mkdir(parents=True)
    (tmp_path / 'images/a.jpg').write_bytes(b'not a picture')
    with pytest.raises(UnreadableImageError, match=r'none of 1 images could be read: .*a\.jpg'):
        detect(str(tmp_path / 'images'), *detector)
    (tmp_path / 'images/link').symlink_to(tiny_coco / 'images')
    images, boxes = detect(
        str(tmp_path / 'images'), *detector, [f'x{i}' for i in range(78)], score_thr=0.0
    )
    names = [image['file_name'] for image in images['images']]
    assert names == ['link/1.png', 'link/2.png', 'link/3.png']
    assert {box['image_id'] for box in boxes} == {image['id'] for image in images['images']}
    assert '1 of 4 images could not be read, and are left out' in log_file.read_text()


@pytest.mark.slow
def test_the_order_of_0_1_is_taken_with_a_word(detector, tiny_coco, tmp_path, capsys):
    config, weights = detector
    images, out = tiny_coco / 'images', tmp_path / 'out.json'
    assert main([str(images), config, weights, str(out), '--score-thr', '1']) == 0
    assert f'{config} {weights} {images} --out {out}' in capsys.readouterr().err
    assert json.loads(out.read_text()) == []


def test_mistakes_are_one_sentence_and_status_2(detector, tiny_coco, tmp_path, capsys):
    images, out = str(tiny_coco / 'images'), str(tmp_path / 'out.json')
    for arguments, message in (
        ([*detector, images], '--out is needed'),
        ([*detector, 'nowhere', '--out', out], "IMAGES='nowhere' does not exist"),
        (['no.py', 'no.pth', images, '--out', out], "CONFIG='no.py' does not exist"),
        ([*detector, images, '--out', out, '--device', 'foo'], "--device='foo' cannot be used"),
        ([*detector, images, '--out', out, '--categories', 'horse'], '--categories: the detector'),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
