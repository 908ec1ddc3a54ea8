"""MPJPE, PA-MPJPE and PVE; data samples as the mesh estimator makes them."""

import re

import numpy as np
import pytest
import torch

from hsjp_mm.evaluation import MeshError
from hsjp_mm.models import BodyModel
from hsjp_mm.ops.keypoint_orders import joint_names, mapping
from hsjp_mm.ops.rotations import axis_angle_to_matrix

NAMES = joint_names('h36m_17')
META = {'keypoint_name2id': {name: index for index, name in enumerate(NAMES)}}
FREE = {'type': 'hsjp_mm.BodyModel'}


def person(predicted, truth, weights=None, **more) -> dict:
    weights = np.ones(truth.shape[0]) if weights is None else weights
    return {
        'id': 1, 'joint_set': 'h36m_17', 'pred_body': 'made-up',
        'gt_instances': {'joints': truth[None], 'joints_weight': weights[None]},
        'pred_instances': {'joints': predicted[None]}, **more,
    }  # fmt: skip


def evaluate(samples: list[dict], meta=META, **options) -> dict[str, float]:
    metric = MeshError(**options)
    metric.dataset_meta = meta
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def random_joints(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(NAMES), 3))


def posed(seed: int, gender: str = 'neutral') -> tuple[dict, BodyModel]:
    """A labelled body, and the same predicted, moved and with one vertex 1 m off."""
    body = BodyModel()
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(0.3 * torch.randn(1, 24, 3, generator=generator))
    shape = torch.randn(1, 10, generator=generator)
    made = body(rotations, shape)
    joints = body.keypoints(made, 'h36m_17')
    truth = {
        'rotations': rotations, 'shape': shape, 'has_pose': torch.ones(1),
        'has_shape': torch.ones(1), 'joints': torch.zeros(1, 17, 3),
        'joints_weight': torch.zeros(1, 17),
    }  # fmt: skip
    vertices = made.vertices + 5
    vertices[0, 7, 1] += 1
    found = {'vertices': vertices, 'joints': joints + 5}
    sample = {'id': seed, 'joint_set': 'h36m_17', 'gender': gender, 'gt_instances': truth}
    return {**sample, 'pred_instances': found}, body


def test_one_joint_off_by_a_hand():
    truth = random_joints()
    predicted = truth + 7  # the place does not count
    predicted[NAMES.index('left_knee')] += (0, 0.141, 0)
    values = evaluate([person(predicted, truth)])
    assert values['mesh/MPJPE'] == pytest.approx(141 / 14)
    assert values['mesh/PA-MPJPE'] > 0
    assert values['mesh/PCK'] == 100  # 141 mm is within 150
    assert values['mesh/AUC'] == pytest.approx(100 * (13 * 30 + 2) / 14 / 31)  # at 145 and 150
    assert 'mesh/PVE' not in values


def test_all_is_relative_to_the_named_root():
    truth = random_joints()
    predicted = truth.copy()
    predicted[NAMES.index('pelvis')] += (0.05, 0, 0)
    assert evaluate([person(predicted, truth)])['mesh/MPJPE'] == pytest.approx(50)
    hips = evaluate([person(predicted, truth)], root=['left_hip', 'right_hip'])
    assert hips['mesh/MPJPE'] == pytest.approx(0, abs=1e-9)


def test_the_mean_is_over_persons():
    truth = random_joints()
    far = truth.copy()
    far[mapping(NAMES, joint_names('common_14'))] += (0.3, 0, 0)
    values = evaluate([person(truth, truth), person(far, truth), person(truth, truth)])
    assert values['mesh/MPJPE'] == pytest.approx(100)
    assert values['mesh/PA-MPJPE'] == pytest.approx(0, abs=1e-9)
    assert values['mesh/PCK'] == pytest.approx(200 / 3)


def test_who_lacks_a_label_is_left_out_and_counted(log_file):
    truth = random_joints()
    weights = np.ones(17)
    weights[NAMES.index('head_top')] = 0
    worse = person(truth + np.arange(17)[:, None], truth, weights)
    values = evaluate([person(truth, truth), worse])
    assert values['mesh/MPJPE'] == 0
    assert '1 persons, 1 left out for lack of labels' in log_file.read_text()
    with pytest.raises(ValueError, match='none of 1 persons has all joints'):
        evaluate([worse])
    weights = np.ones(17)
    weights[NAMES.index('jaw')] = 0  # is not among the 14
    assert evaluate([person(truth, truth, weights)])['mesh/MPJPE'] == 0


def test_the_log_says_what_was_measured(log_file):
    truth = random_joints()
    evaluate([person(truth, truth)], protocol='every 64th frame')
    assert re.search(
        r'PA-MPJPE 0\.00 mm \(body made-up; 14 joints of common_14; root pelvis; truth: joints of '
        r'the data set; protocol: every 64th frame; 1 persons\)',
        log_file.read_text(),
    )
    assert 'left_knee' in log_file.read_text()


def test_true_bodies_give_joints_and_vertices():
    sample, body = posed(3)
    values = evaluate([sample], bodies={'neutral': FREE})
    assert values['mesh/MPJPE'] == pytest.approx(0, abs=1e-3)
    assert values['mesh/PVE'] == pytest.approx(1000 / body.num_vertices, abs=1e-3)


def test_a_neutral_body_for_men_and_women_is_called_otherwise():
    sample, _ = posed(3, 'female')
    gendered = evaluate([sample], bodies={'female': FREE, 'male': FREE})
    assert set(gendered) == {'mesh/MPJPE', 'mesh/PA-MPJPE', 'mesh/PCK', 'mesh/AUC', 'mesh/PVE'}
    neutral = evaluate([sample], bodies={'neutral': FREE})
    assert set(neutral) == {f'{name}_neutral_gt' for name in gendered}
    with pytest.raises(ValueError, match='neither female, as which id 3 is labelled, nor neutral'):
        evaluate([sample], bodies={'male': FREE})
    with pytest.raises(ValueError, match='bodies has man'):
        MeshError(bodies={'man': FREE})


def test_persons_without_pose_do_not_count_where_bodies_are_the_truth():
    sample, _ = posed(3)
    sample['gt_instances']['has_pose'] = torch.zeros(1)
    with pytest.raises(ValueError, match='none of 1 persons'):
        evaluate([sample], bodies={'neutral': FREE})


def test_nan_is_an_error():
    truth = random_joints()
    predicted = truth.copy()
    predicted[3, 1] = np.nan
    with pytest.raises(ValueError, match='1 of 1 predicted poses'):
        evaluate([person(predicted, truth)])


def test_vertices_of_another_body_are_refused():
    sample, _ = posed(3)
    found = sample['pred_instances']
    found['vertices'] = found['vertices'][:, 1:]
    with pytest.raises(ValueError, match=r'\(1, 1228, 3\) and true ones \(1, 1229, 3\)'):
        evaluate([sample], bodies={'neutral': FREE})


def test_a_data_set_without_the_joints_is_refused():
    names = joint_names('coco_17')
    meta = {'keypoint_name2id': {name: index for index, name in enumerate(names)}}
    truth = random_joints()
    with pytest.raises(ValueError, match=r"joints='common_14' .* need neck, head_top, pelvis"):
        evaluate([person(truth, truth)], meta)
