import numpy as np
import pytest
import torch

from hsjp_mm.datasets import MeshAffine, RenderPartMap
from hsjp_mm.models import BodyModel
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.mesh_bodies import make_sample, posed

NAMES = joint_names('smpl_24')


@pytest.fixture(scope='module')
def free() -> BodyModel:
    return BodyModel().double()


@pytest.mark.parametrize('size', [(128, 128), (96, 128)])
@pytest.mark.parametrize('change', [{}, dict(flip=True), dict(angle=0.6, scale=0.9)])
@pytest.mark.slow
def test_cells_show_the_part_that_is_seen_there(free, size, change):
    sample = MeshAffine(size).cut(make_sample(free), **change)
    part_map = RenderPartMap()(sample)['part_map'][0]
    assert part_map.shape == (size[1] // 4, size[0] // 4)
    assert 8 < len(np.unique(part_map)) <= 25
    wrong = 0
    # the ray through each cell's center against every triangle, one cell after the other
    corners = posed(free, sample).vertices[0].numpy()[free.faces.numpy()]
    focal, center = sample['camera'][0], sample['camera'][2:]
    x, y, side = sample['crop'].astype(float)
    for row in range(part_map.shape[0]):
        for column in range(part_map.shape[1]):
            pixel = (4 * np.array([column, row]) - np.array(size) / 2) * side / max(size) + [x, y]
            ray = np.array([*((pixel - center) / focal), 1])
            edges = corners[:, 1:] - corners[:, :1]
            matrix = np.stack([edges[:, 0], edges[:, 1], -ray[None].repeat(len(corners), 0)], 2)
            found = np.linalg.solve(matrix + 1e-15 * np.eye(3), -corners[:, 0, :, None])[..., 0]
            hit = (found[:, :2] > 0).all(axis=1) & (found[:, :2].sum(axis=1) < 1)
            expected = 0
            if hit.any():
                face = np.flatnonzero(hit)[found[hit, 2].argmin()]
                weights = [1 - found[face, :2].sum(), *found[face, :2]]
                vertex = free.faces[face, int(np.argmax(weights))]
                expected = int(free.parts[vertex]) + 1
            wrong += part_map[row, column] != expected
    assert wrong <= 1  # on an edge, by rounding


def test_the_2d_labels_place_a_body_whose_translation_is_not_known(free):
    sample = MeshAffine((128, 128)).cut(make_sample(free))
    known = RenderPartMap()({**sample})['part_map']
    placed = RenderPartMap()({**sample, 'has_translation': np.float32(0)})['part_map']
    assert (known == placed).mean() > 0.999


def test_samples_without_a_pose_or_labels_stay_without(free):
    sample = MeshAffine((128, 128)).cut(make_sample(free))
    step = RenderPartMap()
    assert 'part_map' not in step({**sample, 'has_pose': np.float32(0)})
    unseen = np.zeros((1, 22), np.float32)
    unseen[0, 3] = 1
    unplaced = {**sample, 'has_translation': np.float32(0), 'keypoints_visible': unseen}
    assert 'part_map' not in step(unplaced)
    own = np.full((1, 32, 32), 7, np.uint8)
    assert step({**sample, 'part_map': own})['part_map'] is own


def test_left_is_left(free):
    """In the T-pose before the camera the left arm is to the right of the picture."""
    sample = make_sample(free)
    sample['rotations'] = np.eye(3, dtype=np.float32)[None].repeat(24, axis=0)
    sample['rotations'][0] = np.diag([1, -1, -1])
    sample['bbox_scale'] *= 2
    results = RenderPartMap()(MeshAffine((128, 128)).cut(sample))
    columns = {
        side: np.nonzero(results['part_map'][0] == 1 + NAMES.index(f'{side}_elbow'))[1]
        for side in ('left', 'right')
    }
    assert columns['left'].min() > columns['right'].max()


def test_the_body_can_be_another(free):
    step = RenderPartMap()
    sample = MeshAffine((128, 128)).cut(make_sample(free))
    step({**sample})
    step.body_cfg = dict(type='hsjp_mm.BodyModel', num_shape=4)
    results = step({**sample, 'shape': np.zeros(4, np.float32)})
    assert results['part_map'].any()
    assert torch.equal(step.built[1].parts, BodyModel().parts)
