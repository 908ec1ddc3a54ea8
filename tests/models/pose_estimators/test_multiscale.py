"""From images to persons in the pixels of the images, through the stock runner and metric.

The network reads its answer from the image: blue and green are the heat of two keypoints, red is
the tag. So whatever moves the image or the maps moves the persons.
"""

import json

import cv2
import numpy as np
import pytest
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch import nn

from hsjp_mm.models import HigherHRNetHead

SHORT = 128
SIZES = 4 * [(150, 97), (97, 150), (111, 111), (160, 75), (64, 80)]  # (width, height)
NOBODY = 4  # the image without a person
KEYPOINTS = ('blue', 'green')
METAINFO = dict(
    dataset_name='dots',
    keypoint_info={
        i: dict(name=name, id=i, color=[0, 0, 0], type='upper', swap='')
        for i, name in enumerate(KEYPOINTS)
    },
    skeleton_info={},
    joint_weights=[1.0, 1.0],
    sigmas=[0.05, 0.05],
)


@MODELS.register_module()
class ImageItself(nn.Module):
    """A backbone whose features are the image, averaged to 1/2 and to 1/4."""

    def forward(self, x):
        return F.avg_pool2d(x / 255, 2), F.avg_pool2d(x / 255, 4)


@MODELS.register_module()
class ReadingHead(HigherHRNetHead):
    """Heat maps at 1/4 and 1/2 and tags from the channels of the image."""

    def forward(self, feats):
        half, quarter = feats
        tags = 20 * quarter[:, 2:].expand(-1, 2, -1, -1)
        return [quarter[:, :2], half[:, :2]], tags


def places(rng, width: int, height: int) -> np.ndarray:
    """Two persons, one in each half of the image; (2, 2, 2) in pixels (x, y)."""
    margin = 0.15
    share = rng.uniform(margin, 1 - margin, (2, 2, 2))
    share[..., 0] = (share[..., 0] * 0.6 + 0.2 + np.arange(2)[:, None]) / 2
    return share * (width - 1, height - 1)


@pytest.fixture(scope='module')
def dots(tmp_path_factory):
    """A folder with an image of each size and its annotations."""
    root, rng = tmp_path_factory.mktemp('dots'), np.random.default_rng(0)
    images, annotations = [], []
    for number, (width, height) in enumerate(SIZES):
        picture = np.zeros((height, width, 3))
        picture[:, width // 2 :, 2] = 255  # the second person's tag
        y, x = np.mgrid[:height, :width]
        persons = places(rng, width, height)
        for person in persons if number != NOBODY else ():
            for channel, (u, v) in enumerate(person):
                picture[..., channel] += 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 3**2))
            (left, top), (right, bottom) = person.min(axis=0), person.max(axis=0)
            box = [left, top, right - left, bottom - top]
            annotations.append(
                dict(
                    id=len(annotations), image_id=number, category_id=1, iscrowd=0, area=50.0**2,
                    bbox=box, num_keypoints=2, keypoints=[*person[0], 2, *person[1], 2],
                )
            )  # fmt: skip
        name = f'{number}.png'
        cv2.imwrite(str(root / name), picture.clip(0, 255).round().astype(np.uint8))
        images.append(dict(id=number, file_name=name, width=width, height=height))
    category = dict(id=1, name='person', keypoints=KEYPOINTS, skeleton=[])
    coco = dict(images=images, annotations=annotations, categories=[category])
    (root / 'dots.json').write_text(json.dumps(coco))
    return root


def config(root, work_dir, aug_scales=None, flip=True, batch_size=2, short=SHORT) -> Config:
    codec = dict(
        type='hsjp_mm.AssociativeEmbedding', input_size=(short, short), heatmap_size=(short, short),
        decode_center_shift=0.5, decode_keypoint_order=[0, 1],
    )  # fmt: skip
    meta_keys = (
        'id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'input_size', 'input_center',
        'input_scale', 'flip_indices',
    )  # fmt: skip
    kind = ('hsjp_mm.Multiscale' if aug_scales else 'Bottomup') + 'PoseEstimator'
    pack = 'hsjp_mm.PackImagePyramid' if aug_scales else 'PackPoseInputs'
    return Config(
        dict(
            default_scope='mmpose',
            work_dir=str(work_dir),
            experiment_name=str(work_dir).replace('/', '-'),
            log_level='WARNING',
            visualizer=dict(type='Visualizer', name=str(work_dir)),
            model=dict(
                type=kind,
                data_preprocessor=dict(type='PoseDataPreprocessor'),
                backbone=dict(type='ImageItself'),
                head=dict(type='ReadingHead', in_channels=3, num_keypoints=2, decoder=codec),
                test_cfg=dict(flip_test=flip, multiscale_test=bool(aug_scales)),
            ),
            test_dataloader=dict(
                batch_size=batch_size,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='CocoDataset', metainfo=METAINFO, data_mode='bottomup', test_mode=True,
                    data_root=str(root), ann_file='dots.json', data_prefix=dict(img=''),
                    pipeline=[
                        dict(type='LoadImage'),
                        dict(
                            type='hsjp_mm.BottomupResize', input_size=(short, short),
                            aug_scales=aug_scales,
                        ),
                        dict(type=pack, meta_keys=meta_keys),
                    ],
                ),
            ),
            test_cfg=dict(),
            test_evaluator=dict(
                type='CocoMetric', ann_file=str(root / 'dots.json'), nms_mode='none',
                score_mode='bbox',
            ),
        )
    )  # fmt: skip


def errors(runner) -> np.ndarray:
    """Distances (x, y) in pixels of the network's input, of all keypoints of all images."""
    coco = runner.test_loop.evaluator.metrics[0].coco
    found = []
    for batch in runner.test_dataloader:
        for sample in runner.model.test_step(batch):
            truth = coco.loadAnns(coco.getAnnIds(imgIds=sample.img_id))
            truth = np.reshape([one['keypoints'] for one in truth], (-1, 2, 3))[..., :2]
            keypoints = sample.pred_instances.keypoints
            assert keypoints.shape == truth.shape, sample.img_path
            keypoints = keypoints[np.argsort(keypoints[:, 0, 0])]  # the first person is at the left
            zoom = sample.input_size[0] / sample.input_scale[0]
            found.append((keypoints - truth).reshape(-1, 2) * zoom)
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('aug_scales', [None, [0.5, 2], [2]])
def test_persons_are_found_where_they_are(dots, tmp_path, aug_scales, flip):
    runner = Runner.from_cfg(config(dots, tmp_path, aug_scales, flip, batch_size=3))
    assert runner.test()['coco/AP'] == 1
    off = errors(runner)
    # A dot in the center of pixel 7 of a scale is said to be at 7.5, for training rounds down; the
    # images of the scales lie on each other by their first pixel's center, not its corner.
    shift = np.mean([0.5 / scale for scale in [1, *(aug_scales or [])]])
    assert np.abs(off.mean(axis=0) - shift).max() < 0.15
    # the cells of the finest map at scale 1 are two pixels wide
    assert np.abs(off - shift).max() < 0.75


@pytest.mark.slow
def test_a_batch_is_as_its_images_alone(dots, tmp_path):
    together, alone = (
        errors(Runner.from_cfg(config(dots, tmp_path / str(size), [0.5, 2], batch_size=size)))
        for size in (7, 1)
    )
    np.testing.assert_allclose(together, alone, atol=1e-4)


# --- what a data set may hold -----------------------------------------------------------------


@pytest.mark.parametrize('aug_scales', [None, [0.5, 2]])
def test_nobody_found_in_any_image_is_an_ap_of_zero(dots, tmp_path, aug_scales):
    cfg = config(dots, tmp_path, aug_scales)
    cfg.model.head.decoder.decode_keypoint_thr = 2
    assert Runner.from_cfg(cfg).test()['coco/AP'] == 0


@pytest.mark.parametrize('aug_scales', [None, [0.5, 2]])
def test_tiny_and_narrow_images_in_a_batch(dots, tmp_path, aug_scales):
    cfg = config(dots, tmp_path, aug_scales)
    model = MODELS.build(cfg.model).eval()
    pipeline = Compose(cfg.test_dataloader.dataset.pipeline)
    samples = []
    for width, height in ((1, 1), (3, 1), (2, 20), (100, 100)):
        image = np.full((height, width, 3), 0, np.uint8)
        image[height // 2, width // 2, :2] = 255
        samples.append(pipeline(dict(img=image, img_id=0, id=0, flip_indices=[0, 1])))
    for sample in model.test_step(pseudo_collate(samples)):
        height, width = sample.ori_shape
        (person,) = sample.pred_instances.keypoints
        zoom = sample.input_size[0] / sample.input_scale[0]
        expected = np.array([width // 2, height // 2]) + 0.5 / zoom
        # the dot is as large as a pixel of the image: its plateau is found
        np.testing.assert_allclose(person, [expected] * 2, atol=0.6)


def test_nan_in_the_maps_stops_the_run(dots, tmp_path, monkeypatch):
    forward = ReadingHead.forward

    def broken(self, feats):
        maps, tags = forward(self, feats)
        maps[1][..., 3, 5] = np.nan
        return maps, tags

    monkeypatch.setattr(ReadingHead, 'forward', broken)
    with pytest.raises(ValueError, match='heat maps must be finite'):
        Runner.from_cfg(config(dots, tmp_path)).test()


# --- what does not fit together ---------------------------------------------------------------


def test_a_pyramid_without_multiscale_test_is_refused(dots, tmp_path):
    cfg = config(dots, tmp_path, [0.5, 2])
    cfg.model.test_cfg.multiscale_test = False
    with pytest.raises(ValueError, match=r'multiscale_test=True, got False, .* got a pyramid'):
        Runner.from_cfg(cfg).test()


def test_one_scale_where_several_are_expected_is_refused(dots, tmp_path):
    cfg = config(dots, tmp_path)
    cfg.model.update(type='hsjp_mm.MultiscalePoseEstimator')
    cfg.model.test_cfg.multiscale_test = True
    with pytest.raises(ValueError, match=r'multiscale_test=True, got True, .* got one scale'):
        Runner.from_cfg(cfg).test()
