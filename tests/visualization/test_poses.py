import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.visualization.poses import boxes_of_dataset, boxes_of_file, draw_poses
from tests.helpers import ROOT

CONFIG = f"""
_base_ = ['{ROOT}/configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py']
"""


@pytest.fixture(scope='module')
def network(tmp_path_factory) -> tuple[str, str]:
    """Config and untrained weights of a small top-down model."""
    folder = tmp_path_factory.mktemp('network')
    (folder / 'config.py').write_text(CONFIG)
    model = MODELS.build(Config.fromfile(folder / 'config.py').model)
    torch.save({'state_dict': model.state_dict()}, folder / 'weights.pth')
    return str(folder / 'config.py'), str(folder / 'weights.pth')


def test_images_with_labelled_persons_side_by_side(network, tiny_coco):
    boxes = boxes_of_file(str(tiny_coco / 'boxes.json'), str(tiny_coco / 'images'))
    drawn = draw_poses(*network, boxes, height=60)
    assert drawn.shape == (60, 90, 3)  # image 1 alone, of 120×80 pixels
    image = cv2.imread(str(tiny_coco / 'images/1.png'))[..., ::-1]
    image = cv2.resize(image, (90, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - drawn).mean() < 20


def test_faults(network, tiny_coco, tmp_path):
    shutil.copytree(tiny_coco, tmp_path / 'copy')
    arguments = [str(tmp_path / 'copy/boxes.json'), str(tmp_path / 'copy/images')]
    (tmp_path / 'copy/images/1.png').write_bytes(b'not a picture')
    with pytest.raises(UnreadableImageError, match=r'1\.png cannot be read'):
        draw_poses(*network, boxes_of_file(*arguments))
    coco = json.loads((tmp_path / 'copy/boxes.json').read_text())
    coco['annotations'][1]['bbox'] = None
    (tmp_path / 'copy/boxes.json').write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=r'annotations, id 12: bbox=None must be'):
        boxes_of_file(*arguments)
    coco['annotations'] = coco['annotations'][:1]
    (tmp_path / 'copy/boxes.json').write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=r"ann_file='.*': nobody in its images has keypoints"):
        boxes_of_file(*arguments)


def test_boxes_of_samples_with_boxes_and_with_centers():
    samples = [
        {'img_path': 'a.jpg', 'bbox': np.array([[1.0, 2, 30, 40]])},
        {
            'img_path': 'b.jpg',
            'bbox_center': np.array([[50.0, 60]]),
            'bbox_scale': np.array([[20.0, 40]]),
        },
        {'img_path': 'a.jpg', 'bbox': np.array([[5.0, 6, 7, 8]])},
    ]

    class Samples(list):
        get_data_info = list.__getitem__

    assert boxes_of_dataset(Samples(samples)) == {
        'a.jpg': [[1, 2, 30, 40], [5, 6, 7, 8]], 'b.jpg': [[40, 40, 60, 80]]
    }  # fmt: skip
