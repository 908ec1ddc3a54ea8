"""Crops of persons that are seventeen dots."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from hsjp_mm.datasets.image_files import UnreadableImageError
from hsjp_mm.probing.crops import Crops, load_crops
from tests.helpers import damage_middle
from tests.probing.dots import HEIGHT, WIDTH


@pytest.mark.slow
def test_choices_are_whole_images_that_lie_inside_one_another(dots):
    def chosen(persons: int, seed: int = 0) -> set[int]:
        return {sample.id for sample in load_crops(dots, 'train', persons, seed).samples}

    two, four, all_of_them = chosen(1), chosen(3), chosen(99)
    assert [len(two), len(four), len(all_of_them)] == [2, 4, 8]
    assert two < four < all_of_them
    assert {i ^ 1 for i in four} == four  # the two persons of an image
    assert any(chosen(3, seed) != four for seed in (1, 2, 3))


def test_crops_are_those_of_validation_with_annotated_boxes(dots):
    dots.train_dataloader.dataset.pipeline = [dict(type='LoadImage'), dict(type='RandomFlip')]
    dots.val_dataloader.dataset.bbox_file = 'nowhere.json'
    train, val = (load_crops(dots, part, 99, seed=0) for part in ('train', 'val'))
    assert (len(train.images), len(val.images)) == (8, 5)
    for crops in (train, val):
        for image, places in zip(crops.images, crops.places, strict=True):
            x, y = (places * (WIDTH, HEIGHT)).round().astype(int).T
            assert image[0, y, x].tolist() == list(range(14, 14 * 18, 14))
        assert np.allclose(crops.to_image(crops.places), crops.keypoints, atol=1e-3)
        assert crops.mean_oks(crops.places) == pytest.approx(1)


def make_crops(keypoints: np.ndarray, visible: np.ndarray, area: float | None) -> Crops:
    sample = PoseDataSample(
        metainfo=dict(input_center=np.array([50, 60]), input_scale=np.array([40, 80]))
    )
    if area:
        sample.set_metainfo(dict(raw_ann_info=dict(area=area)))
    sample.gt_instances = InstanceData(
        keypoints=keypoints[None], keypoints_visible=visible[None], bboxes=np.array([[0, 0, 10, 5]])
    )
    return Crops([dict(inputs=None, data_samples=sample)], dict(sigmas=[0.05, 0.1, 0.1]))


def test_mean_oks_by_hand():
    keypoints = np.array([[40.0, 60], [50, 60], [0, 0]])
    crops = make_crops(keypoints, np.array([1.0, 1, 0]), area=100)
    assert crops.places[0, :2].tolist() == [[0.25, 0.5], [0.5, 0.5]]
    # the first is a tenth of the width off, 4 pixels: exp(-16 / (2 · 100 · 0.1²)) = exp(-8)
    places = np.array([[[0.35, 0.5], [0.5, 0.5], [9, 9]]])
    assert crops.mean_oks(places) == pytest.approx((np.exp(-8) + 1) / 2)
    with_weights = make_crops(keypoints, np.array([[1.0, 1], [1, 1], [0, 1]]), area=100)
    assert with_weights.mean_oks(places) == crops.mean_oks(places)
    # without an area 0.53 of the box
    crops = make_crops(keypoints, np.array([1.0, 1, 0]), area=None)
    assert crops.mean_oks(places) == pytest.approx((np.exp(-16 / (2 * 26.5 * 0.01)) + 1) / 2)


def test_damaged_images_are_refused(dots):
    path = Path(dots.train_dataloader.dataset.data_root) / 'train/0.png'
    pixels = cv2.imread(str(path))
    pixels[:] = np.random.RandomState(0).randint(0, 256, pixels.shape)
    cv2.imwrite(str(path.with_suffix('.jpg')), pixels)
    path.with_suffix('.jpg').rename(path)  # the decoder looks at the content
    load_crops(dots, 'train', 99, seed=0)
    damage_middle(path)
    with pytest.raises(UnreadableImageError, match=r'0\.png cannot be read: Corrupt JPEG data'):
        load_crops(dots, 'train', 99, seed=0)
