"""Letters as in the module under test."""

import json
import math
import time
from collections import Counter

import numpy as np
import pytest

from hsjp_mm.analysis.part_groups import (
    EXTENT,
    cluster,
    group_parts,
    lattice_cells,
    mutual_information,
    normalise,
    overlap,
    scale_poses,
    write_part_groups,
)
from hsjp_mm.analysis.persons import Persons, persons_of_points, read_poses
from hsjp_mm.models.utils.part_groups import PartGroups, read_part_groups
from tests.helpers import ROOT, SHARED

SHIPPED = ROOT / 'configs/pbn/part_groups'
MPII = SHARED / 'mpii'
LSP = SHARED / 'lsp'
needs_mpii = pytest.mark.skipif(not MPII.is_dir(), reason='../shared/data/mpii is absent')
needs_lsp = pytest.mark.skipif(not LSP.is_dir(), reason='../shared/data/lsp is absent')

PAPER = {
    frozenset({'right_ankle', 'right_knee', 'left_knee', 'left_ankle'}),
    frozenset({'right_hip', 'left_hip', 'pelvis'}),
    frozenset({'thorax', 'upper_neck', 'head_top', 'right_shoulder', 'left_shoulder'}),
    frozenset({'right_wrist', 'right_elbow'}),
    frozenset({'left_elbow', 'left_wrist'}),
}
# the twelve joints that MPII, LSP and COCO share, with what stands for a head
SHARED_PARTS = {
    frozenset({'right_ankle', 'right_knee', 'left_knee', 'left_ankle'}),
    frozenset({'right_hip', 'left_hip'}),
    frozenset({'head', 'right_shoulder', 'left_shoulder'}),
    frozenset({'right_wrist', 'right_elbow'}),
    frozenset({'left_elbow', 'left_wrist'}),
}


def sets(part_groups: PartGroups) -> set[frozenset[str]]:
    return {frozenset(group) for group in part_groups.groups}


def pairs(N: int = 4000, seed: int = 0) -> Persons:
    """Six keypoints: b0, b1, b2 are near a0, a1, a2, which are anywhere. Every box is 2 long."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(-1, 1, (N, 3, 2))
    points = np.concatenate([first, first + rng.normal(0, 0.1, first.shape)], axis=1)
    names = ('a0', 'a1', 'a2', 'b0', 'b1', 'b2')
    return persons_of_points(points, names, boxes=np.full(N, 2.0))


def shuffled(poses: Persons, order: np.ndarray) -> Persons:
    names = tuple(poses.names[k] for k in order)
    return persons_of_points(poses.points[:, order], names, boxes=poses.boxes[:, 2])


@pytest.fixture(scope='module')
def mpii() -> Persons:
    return read_poses(MPII / 'joints_train.csv')


# --- equation (1) -------------------------------------------------------------------------------


def slow_information(cells: np.ndarray, m: int, n: int) -> float:
    """Equation (1) as it is written, over the poses that have both parts."""
    both = [(a, b) for a, b in zip(cells[:, m], cells[:, n], strict=True) if a >= 0 and b >= 0]
    joint, left, right = Counter(both), Counter(a for a, _ in both), Counter(b for _, b in both)
    total = 0.0
    for a in left:
        for b in right:
            p = joint[a, b] / len(both)
            if p > 0:
                total += p * math.log(p / (left[a] / len(both) * right[b] / len(both)))
    return total


@pytest.mark.slow
def test_information_is_that_of_a_slow_loop_with_missing_keypoints():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 9, (200, 5))
    cells[:, 1] = (cells[:, 0] + rng.integers(0, 3, 200)) % 9
    cells[rng.random(cells.shape) < 0.2] = -1
    found = mutual_information(cells, 9)
    slow = [[slow_information(cells, m, n) for n in range(5)] for m in range(5)]
    np.testing.assert_allclose(found, slow, atol=1e-12)
    assert found[0, 1] > 3 * found[0, 2]


def test_information_by_hand():
    # every combination of 3 and 2 cells once: independent; the last is the first again
    cells = np.array([(a, b, a) for a in range(3) for b in range(2)])
    found = mutual_information(cells, 4)
    np.testing.assert_allclose(found[0], [math.log(3), 0, math.log(3)], atol=1e-12)
    np.testing.assert_allclose(found[1], [0, math.log(2), 0], atol=1e-12)
    # p(0, 0) = 1/2, p(1, 0) = p(1, 1) = 1/4; so p(0) and p(1) are 1/2, 1/2 and 3/4, 1/4:
    # 1/2 log(4/3) + 1/4 log(2/3) + 1/4 log 2
    by_hand = math.log(4 / 3) / 2 + math.log(2 / 3) / 4 + math.log(2) / 4
    found = mutual_information(np.array([(0, 0), (0, 0), (1, 0), (1, 1)]), 2)
    np.testing.assert_allclose(found[0, 1], by_hand)


def test_a_missing_keypoint_is_left_out_of_its_pairs_only():
    cells = np.random.default_rng(0).integers(0, 4, (100, 3))
    fewer = cells.copy()
    fewer[:50, 2] = -1
    whole, half, part = (mutual_information(c, 4) for c in (cells, cells[50:], fewer))
    assert part[0, 1] == whole[0, 1]
    np.testing.assert_array_equal(part[2], half[2])


def test_normalised_linearly_off_the_diagonal():
    matrix = np.array([[9.0, 1, 2], [1, 8, 5], [2, 5, 7]])
    np.testing.assert_allclose(normalise(matrix), [[0, 0, 0.25], [0, 0, 1], [0.25, 1, 0]])
    with pytest.raises(ValueError, match='no two pairs of keypoints differ'):
        normalise(np.eye(3))


# --- the lattice --------------------------------------------------------------------------------


def test_cells_by_hand():
    points = np.array([[-2, -2], [0, 0], [1.9, -0.1], [-1.01, 1], [9, -9], [np.nan, np.nan]])
    # four cells of one unit a side: from -2 to -1, to 0, to 1, to 2
    assert lattice_cells(points[None], extent=4, side=4).tolist() == [[0, 10, 7, 12, 3, -1]]


@pytest.mark.parametrize('options', [dict(extent=0), dict(side=0)])
def test_a_lattice_must_have_a_size(options):
    with pytest.raises(ValueError, match='must be positive'):
        lattice_cells(np.zeros((1, 1, 2)), **options)


def test_scaled_by_the_unit_and_centerd_on_the_labelled_keypoints():
    nan = [np.nan, np.nan]
    keypoints = np.array(
        [
            [[10, 10], [10, 14], [30, 12]],
            [[10, 10], [10, 14], nan],
            [nan, [10, 14], [30, 12]],  # no unit
            [[5, 5], [5, 5], [30, 12]],  # a unit of zero
        ]
    )
    poses = persons_of_points(keypoints, ('neck', 'top', 'foot'), boxes=np.array([2.0, 4, 4, 4]))
    by_hand = np.array([[[-5 / 3, -0.5], [-5 / 3, 0.5], [10 / 3, 0]], [[0, -0.5], [0, 0.5], nan]])
    np.testing.assert_allclose(scale_poses(poses, ('neck', 'top')), by_hand, atol=1e-12)
    np.testing.assert_allclose(scale_poses(poses, 'box')[0], 2 * by_hand[0], atol=1e-12)
    assert len(scale_poses(poses, 'box')) == 4


@pytest.mark.parametrize('unit', ['head', ('a0', 'nose'), ('a0', 'a1', 'a2')])
def test_units_that_do_not_exist(unit):
    with pytest.raises(ValueError, match="must be 'box' or two of a0, a1"):
        scale_poses(pairs(), unit)


def test_a_unit_that_no_pose_has():
    poses = pairs(5)
    with pytest.raises(ValueError, match='have no boxes'):
        scale_poses(persons_of_points(poses.keypoints, poses.names), 'box')
    poses.keypoints[:, 1] = np.nan
    with pytest.raises(ValueError, match='none of the 5 poses'):
        scale_poses(poses, ('a0', 'a1'))


# --- groups -------------------------------------------------------------------------------------


def test_keypoints_that_move_together_are_a_group():
    found = group_parts(pairs(), 3, 'box', extent=1.5, side=8)
    assert found.part_groups.groups == (('a0', 'b0'), ('a1', 'b1'), ('a2', 'b2'))
    assert found.num_poses == found.fewest_poses == 4000


def test_the_order_of_the_keypoints_does_not_matter():
    poses = pairs()
    found = group_parts(poses, 3, 'box', 1.5, 8)
    order = np.array([4, 2, 0, 5, 1, 3])
    other = group_parts(shuffled(poses, order), 3, 'box', 1.5, 8)
    np.testing.assert_allclose(other.affinity, found.affinity[np.ix_(order, order)], atol=1e-12)
    assert sets(other.part_groups) == sets(found.part_groups)
    assert other.part_groups.groups[0] == ('b1', 'a1')  # in the data's order


def test_place_and_size_of_each_person_do_not_matter():
    poses = pairs()
    rng = np.random.default_rng(1)
    sizes = rng.uniform(20, 300, (4000, 1, 1))
    moved = persons_of_points(
        poses.keypoints * sizes + rng.uniform(0, 900, (4000, 1, 2)), poses.names,
        boxes=poses.boxes[:, 2] * sizes[:, 0, 0],
    )  # fmt: skip
    found, other = (group_parts(one, 3, 'box', 1.5, 8) for one in (poses, moved))
    np.testing.assert_allclose(other.affinity, found.affinity, atol=1e-6)


def test_grouping_counts_what_it_used():
    poses = pairs(100)
    poses.keypoints[:30, 0] = np.nan
    poses.keypoints[90:, 1] = np.nan
    found = group_parts(poses, 3, ('a0', 'b0'), extent=3, side=4)
    assert (found.num_poses, found.fewest_poses) == (70, 60)
    scaled = scale_poses(poses, ('a0', 'b0'))
    beyond = [abs(point).max() > 1.5 for point in scaled.reshape(-1, 2) if not np.isnan(point[0])]
    assert found.outside == pytest.approx(np.mean(beyond)) and 0 < found.outside < 1
    np.testing.assert_allclose(found.mean_pose, np.nanmean(scaled, axis=0))


@pytest.mark.parametrize(
    ('number', 'side', 'said'),
    [
        (15, 16, ['15 poses are too few', '16 by 16', 'About 8,960', 'take groups of a larger']),
        (86, 16, ['86 poses are too few', 'take groups of a larger']),
        (600, 8, ['600 poses are too few', '8 by 8', 'About 2,240', 'a lattice of 4 cells a side']),
        (560, 4, []),
        (559, 4, ['559 poses are too few', 'take groups of a larger']),
    ],
)
def test_too_few_poses_for_the_lattice_are_a_warning(log_file, number, side, said):
    group_parts(pairs(number), 3, 'box', extent=1.5, side=side)
    logged = log_file.read_text() if log_file.exists() else ''
    assert ('too few' in logged) == bool(said)
    assert all(text in logged for text in said)


def test_two_keypoints_that_are_never_together():
    poses = pairs(100)
    poses.keypoints[:50, 0] = np.nan
    poses.keypoints[50:, 4] = np.nan
    with pytest.raises(ValueError, match='has both a0 and b1'):
        group_parts(poses, 3, 'box')


def test_clusters_of_blocks():
    blocks = np.kron(np.eye(3), np.ones((2, 2))) + 0.05
    labels = cluster(blocks, 3)
    assert labels[0] == labels[1] != labels[2] == labels[3] != labels[4] == labels[5] != labels[0]
    assert sorted(cluster(blocks, 6)) == list(range(6))
    np.testing.assert_array_equal(labels, cluster(blocks + 9 * np.eye(6), 3))


@pytest.mark.parametrize('number', [1, 7])
def test_more_groups_than_keypoints_or_one(number):
    with pytest.raises(ValueError, match=f'num_groups={number} must be from 2 to 6 keypoints'):
        cluster(np.ones((6, 6)), number)


def test_overlap():
    groups = PartGroups(('a', 'b', 'c', 'd'), (('b', 'c'), ('a', 'd')))
    assert overlap(groups, {'b': 'a', 'd': 'c'}).groups == (('b', 'c', 'd'), ('a', 'b', 'd'))
    assert overlap(groups, {}) == groups
    alone = PartGroups(('a', 'b', 'c', 'd'), (('a',), ('b', 'c'), ('d',)))
    several = overlap(alone, [('d', 'a'), ('d', 'b')])
    assert several.groups == (('a', 'd'), ('b', 'c', 'd'), ('d',))
    with pytest.raises(ValueError, match='d and c share a group'):
        overlap(alone, [('d', 'b'), ('d', 'c')])
    with pytest.raises(ValueError, match="the unknown keypoint 'e'; known are a, b, c, d"):
        overlap(groups, {'a': 'e'})
    with pytest.raises(ValueError, match='b and c share a group'):
        overlap(groups, {'b': 'c'})


# --- files --------------------------------------------------------------------------------------


def test_written_groups_are_those_that_models_read(tmp_path):
    groups = PartGroups(('a', 'b', 'c'), (('a', 'c'), ('b', 'c')))
    path = tmp_path / 'new/groups.json'
    write_part_groups(path, groups, {'poses': 'é.csv', 'unit': ('a', 'b')})
    assert read_part_groups(path) == groups
    assert json.loads(path.read_text())['source'] == {'poses': 'é.csv', 'unit': ['a', 'b']}
    with pytest.raises(ValueError, match='in no group: b'):
        write_part_groups(tmp_path / 'bad.json', PartGroups(('a', 'b'), (('a',),)))
    assert not (tmp_path / 'bad.json').exists()


# --- shipped ------------------------------------------------------------------------------------

NAMES = ['mpii_2', 'mpii_5', 'mpii_8', 'mpii_16', 'mpii_body', 'mpii_overlapping', 'coco']


def shipped(name: str) -> PartGroups:
    return read_part_groups(SHIPPED / f'{name}.json')


def test_all_shipped_files_are_named_here():
    assert {path.stem for path in SHIPPED.glob('*')} == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_shipped_files_are_written_in_one_way(name, tmp_path):
    path = SHIPPED / f'{name}.json'
    source = json.loads(path.read_text())['source']
    write_part_groups(tmp_path / 'again.json', read_part_groups(path), source)
    assert path.read_text() == (tmp_path / 'again.json').read_text()


def test_shipped_groups():
    assert sets(shipped('mpii_5')) == PAPER
    assert [len(shipped(f'mpii_{number}').groups) for number in (2, 8, 16)] == [2, 8, 16]
    arms = {'right_shoulder': 'right_elbow', 'left_shoulder': 'left_elbow'}
    assert shipped('mpii_overlapping') == overlap(shipped('mpii_5'), arms)
    assert sets(shipped('mpii_body')) == {  # section 3.1
        frozenset({'head_top', 'upper_neck', 'thorax'}),
        frozenset({'left_wrist', 'left_elbow', 'left_shoulder'}),
        frozenset({'right_wrist', 'right_elbow', 'right_shoulder'}),
        frozenset({'left_knee', 'left_ankle'}),
        frozenset({'right_knee', 'right_ankle'}),
        frozenset({'left_hip', 'right_hip', 'pelvis'}),
    }
    face = {'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear'}
    assert sets(shipped('coco')) == {
        part - {'head'} | face if 'head' in part else part for part in SHARED_PARTS
    }


# --- real poses ---------------------------------------------------------------------------------


@needs_mpii
@pytest.mark.parametrize('number', [2, 5, 8, 16])
def test_the_shipped_groups_are_those_of_mpii(mpii, number):
    found = group_parts(mpii, number)
    assert found.part_groups == shipped(f'mpii_{number}')
    assert found.num_poses == 17928 and found.outside < 0.07


@needs_mpii
def test_six_groups_of_mpii_are_what_the_paper_says(mpii):
    """Section 3.1: ankles and knees "will still be in the same group even if the cluster number is
    increased by one. Instead, the head and neck will be detached from the shoulders and thorax."
    """
    head = frozenset({'upper_neck', 'head_top'})
    trunk = next(group for group in PAPER if head < group)
    six = PAPER - {trunk} | {head, trunk - head}
    assert sets(group_parts(mpii, 6).part_groups) == six
    assert sets(group_parts(mpii, 6, extent=5).part_groups) == six
    legs = {frozenset({f'{side}_knee', f'{side}_ankle'}) for side in ('left', 'right')}
    assert legs < sets(group_parts(mpii, 6, extent=7.5).part_groups)  # in a wider one they split


@needs_mpii
@pytest.mark.parametrize(
    'extent, side', [(5, 16), (7.5, 16), (9, 16), (EXTENT, 8), (EXTENT, 12), (EXTENT, 20)]
)
@pytest.mark.slow
def test_five_groups_of_mpii_in_other_lattices(mpii, extent, side):
    assert sets(group_parts(mpii, 5, extent=extent, side=side).part_groups) == PAPER


@needs_mpii
@pytest.mark.parametrize('seed', [1, 2, 3])
def test_five_groups_of_half_of_mpii_in_another_order(mpii, seed):
    rng = np.random.default_rng(seed)
    half = rng.permutation(len(mpii.points))[: len(mpii.points) // 2]
    some = shuffled(persons_of_points(mpii.points[half], mpii.names), rng.permutation(16))
    assert sets(group_parts(some, 5, seed=seed).part_groups) == PAPER


@needs_mpii
def test_groups_of_the_keypoints_that_coco_and_mpii_share(mpii):
    shared = set().union(*SHARED_PARTS) & set(mpii.names)
    index = mpii.names.index
    head = mpii.points[:, [index('upper_neck'), index('head_top')]]
    kept = [index(name) for name in shipped('coco').keypoints if name in shared]
    points = np.concatenate([mpii.points[:, kept], head.mean(axis=1, keepdims=True)], axis=1)
    names = (*(mpii.names[k] for k in kept), 'head')
    poses = persons_of_points(points, names, boxes=np.linalg.norm(head[:, 0] - head[:, 1], axis=1))
    assert sets(group_parts(poses, 5, 'box').part_groups) == SHARED_PARTS


@needs_mpii
def test_six_heads_are_the_scale_of_mpii():
    poses = read_poses(MPII / 'test_mpii.json')
    by_head, by_box = scale_poses(poses), scale_poses(poses, 'box')
    assert np.isnan(by_head).any() and len(by_head) == 5
    np.testing.assert_allclose(by_head, 6 * by_box, atol=1e-3)


@needs_mpii
def test_25000_poses_take_less_than_two_seconds(mpii):
    many = persons_of_points(np.resize(mpii.points, (25000, 16, 2)), mpii.names)
    start = time.process_time()  # of this process alone, however busy the machine is
    group_parts(many)
    assert time.process_time() - start < 2


@needs_lsp
def test_groups_of_lsp_extended_with_its_missing_joints():
    lsp, extended = (read_poses(LSP / f'{name}_joints.mat') for name in ('lsp', 'lspet'))
    assert lsp.keypoints.shape == (2000, 14, 2) and (lsp.keypoints > 0).all()
    missing = np.isnan(extended.points).any(axis=2)
    assert extended.keypoints.shape == (10000, 14, 2) and missing.sum() == 16787
    found = group_parts(extended, 5, ('neck', 'head_top'), side=8)
    points = extended.keypoints
    no_head = missing[:, 12:].any(axis=1) | (points[:, 12] == points[:, 13]).all(axis=1)
    assert found.num_poses == 10000 - no_head.sum() > found.fewest_poses > 5000
    assert sets(found.part_groups) == {
        part - {'head'} | {'neck', 'head_top'} if 'head' in part else part for part in SHARED_PARTS
    }
