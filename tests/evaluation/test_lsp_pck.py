"""PCK by the torso; joints in LSP's order."""

import cv2
import numpy as np
import pytest
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from scipy.io import loadmat, savemat

from hsjp_mm.evaluation import LSPPCK
from hsjp_mm.evaluation.pck import COLUMNS
from tests.helpers import SHARED

LSP = SHARED / 'lsp'
NAMES = [
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck',
    'head_top',
]  # fmt: skip
META = {'keypoint_name2id': {name: index for index, name in enumerate(NAMES)}}
COLUMN_JOINTS = {
    'ankle': [0, 5], 'knee': [1, 4], 'hip': [2, 3], 'wrist': [6, 11], 'elbow': [7, 10],
    'shoulder': [8, 9], 'head': [12, 13],
}  # fmt: skip


def evaluate(truth, found, labelled=None, **options) -> dict[str, float]:
    metric = LSPPCK(**options)
    metric.dataset_meta = META
    labelled = np.ones(truth.shape[:2]) if labelled is None else labelled
    for t, f, seen in zip(truth, found, labelled, strict=True):
        gt = {'keypoints': t[None], 'keypoints_visible': seen[None]}
        metric.process({}, [{'gt_instances': gt, 'pred_instances': {'keypoints': f[None]}}])
    return metric.evaluate(len(truth))


def persons(number: int = 1) -> np.ndarray:
    """Persons (number, 14, 2) whose left shoulder is 100 pixels from the right hip."""
    joints = np.random.default_rng(0).uniform(0, 300, (number, 14, 2))
    joints[:, 9] = joints[:, 2] + np.array([60, -80])
    return joints


def test_at_and_beyond_a_fifth_of_the_torso():
    truth = persons()
    found = truth.copy()
    found[0, 0] += (20, 0)  # right ankle: exactly 0.2 of 100
    found[0, 5] += (20.01, 0)  # left ankle: beyond
    found[0, 12] += (12, -16)  # neck: 20
    values = evaluate(truth, found)
    assert values['pck/ankle'] == 50
    assert values['pck/head'] == 100
    assert values['pck/mean'] == pytest.approx(100 * 13 / 14)
    assert evaluate(truth, found, thr=0.25)['pck/ankle'] == 100


def test_the_torso_is_person_centric_and_annotated():
    truth = persons()
    found = truth.copy()
    found[0, [9, 2]] += (500, 0)  # the predicted torso, and that of the other sides, do not matter
    truth[0, [8, 3]] += 700
    found[0, [8, 3]] += 700
    found[0, 6] += (20, 0)
    values = evaluate(truth, found)
    assert values['pck/wrist'] == 100
    assert values['pck/shoulder'] == values['pck/hip'] == 50


def test_against_a_slow_loop():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 300, (50, 14, 2))
    torsos = np.hypot(*(truth[:, 9] - truth[:, 2]).T)
    found = truth + rng.normal(0, 0.15, truth.shape) * torsos[:, None, None]
    found[5] = np.nan
    labelled = rng.random((50, 14)) < 0.8
    labelled[:, [2, 9]] = True
    hits = {k: [] for k in range(14)}
    for n in range(50):
        for k in range(14):
            if labelled[n, k]:
                hits[k].append(bool(np.hypot(*(found[n, k] - truth[n, k])) <= 0.2 * torsos[n]))
    share = {k: 100 * np.mean(hits[k]) for k in range(14)}
    expected = {f'pck/{c}': np.mean([share[k] for k in ks]) for c, ks in COLUMN_JOINTS.items()}
    expected['pck/mean'] = 100 * np.mean([hit for some in hits.values() for hit in some])
    assert evaluate(truth, found, labelled) == pytest.approx(expected)


def test_persons_without_a_torso_are_left_out_and_logged(log_file):
    truth = persons(3)
    truth[1, 9] = truth[1, 2]
    labelled = np.ones((3, 14))
    labelled[2, 9] = 0
    found = truth.copy()
    found[1:] += 1000
    assert evaluate(truth, found, labelled)['pck/mean'] == 100
    log = log_file.read_text()
    assert '2 of 3 persons left out: their left shoulder and right hip' in log
    header = next(line for line in log.split('\n') if 'Head' in line)
    assert header.split() == list(COLUMNS.values())


def test_what_nobody_has_is_left_out_and_logged(log_file):
    truth = persons(2)
    labelled = np.ones((2, 14))
    labelled[:, [0, 5]] = 0
    values = evaluate(truth, truth, labelled)
    assert 'pck/ankle' not in values and values['pck/mean'] == 100
    assert 'nobody has these joints, they are left out: ankle' in log_file.read_text()


def test_threshold_must_be_positive():
    with pytest.raises(ValueError, match='thr=-1 torsos must be positive'):
        LSPPCK(thr=-1)


def test_other_keypoints_are_refused():
    metric = LSPPCK()
    metric.dataset_meta = {'keypoint_name2id': {'nose': 0}}
    points = np.zeros((1, 1, 2))
    metric.results = [{'pred_coords': points, 'gt_coords': points, 'mask': np.ones((1, 1))}]
    with pytest.raises(ValueError, match='the data set has no neck, head_top, left_shoulder'):
        metric.evaluate(1)


@pytest.mark.skipif(not LSP.is_dir(), reason='../shared/data/lsp is absent')
def test_every_person_of_the_real_test_half_has_a_torso(log_file):
    truth = loadmat(LSP / 'lsp_joints.mat')['joints'][:2, :, 1000:].transpose(2, 1, 0)
    torsos = np.linalg.norm(truth[:, 9] - truth[:, 2], axis=1)
    found = truth.copy()
    found[:, 0] += np.stack([0.199 * torsos, 0 * torsos], axis=1)
    found[:, 5] += np.stack([0.201 * torsos, 0 * torsos], axis=1)
    values = evaluate(truth, found)
    assert values['pck/ankle'] == 50 and values['pck/mean'] == pytest.approx(100 * 13 / 14)
    assert 'left out' not in log_file.read_text()


class Oracle(BaseModel):
    """Predicts the annotated joints, but the left wrist far away."""

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            found = np.array(sample.gt_instances.keypoints)
            found[:, NAMES.index('left_wrist')] += 500
            sample.pred_instances = InstanceData(keypoints=found)
        return data_samples


@pytest.mark.slow
def test_runner_with_lsp(tmp_path):
    truth = persons(4) + 10
    joints = np.concatenate([truth, np.zeros((4, 14, 1))], axis=2)
    joints[2:, 11, 2] = 1  # occluded, and labelled all the same
    savemat(tmp_path / 'joints.mat', {'joints': joints.transpose(2, 1, 0)})
    for number in range(4):
        cv2.imwrite(str(tmp_path / f'im{number + 1:04d}.jpg'), np.zeros((400, 320, 3), np.uint8))
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(32, 32)),
        dict(type='PackPoseInputs'),
    ]
    dataset = dict(
        type='hsjp_mm.LSPDataset', ann_file=str(tmp_path / 'joints.mat'), split='test',
        data_prefix=dict(img=str(tmp_path)), test_mode=True, pipeline=pipeline,
    )  # fmt: skip
    sampler = dict(type='DefaultSampler', shuffle=False)
    runner = Runner(
        Oracle(), str(tmp_path), default_scope='mmpose', experiment_name=tmp_path.name,
        val_dataloader=dict(batch_size=2, num_workers=0, sampler=sampler, dataset=dataset),
        val_cfg=dict(), val_evaluator=dict(type='hsjp_mm.LSPPCK'),
    )  # fmt: skip
    values = runner.val()
    assert values['pck/wrist'] == 50
    assert values['pck/mean'] == pytest.approx(100 * 13 / 14)
