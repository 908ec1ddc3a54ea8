"""Letters as in the module under test."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS

from hsjp_mm.analysis.oracle import STEP, oracle_maps, oracle_scores
from tests.helpers import SHARED

META_KEYS = (
    'id', 'img_id', 'img_path', 'ori_shape', 'input_size', 'input_center', 'input_scale',
    'flip_indices', 'crowd_index',
)  # fmt: skip
COCO_ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


def codec(order: list[int], short: int = 128) -> dict:
    return dict(
        type='hsjp_mm.AssociativeEmbedding', input_size=(short, short), heatmap_size=(short, short),
        sigma=2, decode_center_shift=0.5, decode_keypoint_order=order,
    )  # fmt: skip


def dataset(kind: str, root, ann_file: str, images: str, short: int = 128):
    pipeline = [
        dict(type='LoadImage'),
        dict(type='hsjp_mm.BottomupResize', input_size=(short, short)),
        dict(type='PackPoseInputs', meta_keys=META_KEYS),
    ]
    return DATASETS.build(
        dict(
            type=kind, data_root=str(root), ann_file=ann_file, data_prefix=dict(img=images),
            data_mode='bottomup', test_mode=True, pipeline=pipeline,
        )
    )  # fmt: skip


def metric(root, ann_file: str, **options) -> dict:
    path = str(Path(root) / ann_file)
    return dict(type='CocoMetric', ann_file=path, nms_mode='none', score_mode='bbox', **options)


def test_maps_by_hand():
    keypoints = np.array([[[5.0, 6], [17, 9]], [[30, 6], [0, 0]]])
    visible = np.array([[1, 1], [1, 0]])
    heatmaps, tags = oracle_maps(keypoints, visible, (48, 32), codec([0, 1]), 2)
    assert [tuple(m.shape) for m in heatmaps] == [(1, 2, 8, 12), (1, 2, 16, 24)]
    # (5, 6) is in cell (1, 1) of four pixels and in cell (2, 3) of two
    peaks = [[(m[0, k] == 1).nonzero().tolist() for k in range(2)] for m in heatmaps]
    assert peaks == [[[[1, 1], [1, 7]], [[2, 4]]], [[[3, 2], [3, 15]], [[4, 8]]]]
    # halfway between 5 and 30 is 17.5, in the cell from 16 to 19, whose center is 18
    assert tags[0, 0, 5].tolist() == [0.0] * 4 + [STEP] * 8
    assert not tags[0, 1].any()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_the_higher_resolution_gains_on_real_people_of_medium_size():
    ann_file = 'annotations/person_keypoints_val2017.json'
    people = dataset('CocoDataset', SHARED / 'coco_mini', ann_file, 'val2017', 512)
    single, both = (
        oracle_scores(
            people, metric(SHARED / 'coco_mini', ann_file), codec(COCO_ORDER, 512), resolutions
        )
        for resolutions in (1, 2)
    )
    assert both['coco/AP'] > single['coco/AP'] > 0.9
    assert both['coco/AP (M)'] > single['coco/AP (M)'] + 0.03
    assert both['coco/AP (L)'] >= single['coco/AP (L)']


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_crowdpose_through_its_own_metric():
    root, ann_file = SHARED / 'crowdpose', 'test_crowdpose.json'
    people = dataset('CrowdPoseDataset', root, ann_file, '', 512)
    crowd = metric(root, ann_file, iou_type='keypoints_crowd', use_area=False)
    assert oracle_scores(people, crowd, codec(list(range(14)), 512), 2)['coco/AP'] == 1


@pytest.mark.parametrize(
    'kind, K', [('CrowdPoseDataset', 14), ('AP10KDataset', 17), ('AnimalPoseDataset', 20)]
)
def test_other_keypoint_sets(tmp_path, kind, K):
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number, (width, height) in enumerate([(120, 90), (77, 130), (64, 64)]):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.zeros((height, width, 3), np.uint8))
        images.append(dict(id=number, file_name=f'{number}.png', width=width, height=height))
        for _ in range(number):  # nobody in the first image
            points = rng.uniform(0, 1, (K, 2)) * (width, height)
            seen = np.where(rng.random(K) < 0.7, 2, 0)
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            labels = np.column_stack([points * (seen[:, None] > 0), seen])
            annotations.append(
                dict(
                    id=len(annotations), image_id=number, category_id=1, iscrowd=0,
                    bbox=[left, top, right - left, bottom - top], area=90.0**2,
                    num_keypoints=int((seen > 0).sum()),
                    keypoints=labels.ravel().tolist(),
                )
            )  # fmt: skip
    category = dict(id=1, name='one', keypoints=[str(k) for k in range(K)], skeleton=[])
    coco = dict(images=images, annotations=annotations, categories=[category])
    (tmp_path / 'poses.json').write_text(json.dumps(coco))
    poses = dataset(kind, tmp_path, 'poses.json', '', 256)
    scores = oracle_scores(poses, metric(tmp_path, 'poses.json'), codec(list(range(K)), 256), 2)
    assert scores['coco/AP'] > 0.95
    with pytest.raises(ValueError, match=f'names 3 keypoints, num_keypoints is {K}'):
        oracle_scores(poses, metric(tmp_path, 'poses.json'), codec([0, 1, 2], 256), 2)
