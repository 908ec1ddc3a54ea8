"""Sets of joints as names: data sets, body models and measures name a set, never bare indices.

Where two sets have one name, their points are the same part of the body, though each data set has
its own idea of where exactly in it the point lies.
"""

from collections.abc import Sequence


def _sides(first: str, *parts: str) -> tuple[str, ...]:
    """The parts of one side, then those of the other."""
    second = {'left': 'right', 'right': 'left'}[first]
    return tuple(f'{side}_{part}' for side in (first, second) for part in parts)


def _pairs(*parts: str) -> tuple[str, ...]:
    """Left and right of each part in turn."""
    return tuple(f'{side}_{part}' for part in parts for side in ('left', 'right'))


JOINT_SETS: dict[str, tuple[str, ...]] = {
    # the joints that SMPL's rotations are about; _hand is the hand's middle
    'smpl_24': (
        'pelvis', *_pairs('hip'), 'spine1', *_pairs('knee'), 'spine2', *_pairs('ankle'),
        'spine3', *_pairs('foot'), 'neck', *_pairs('collar'), 'head',
        *_pairs('shoulder', 'elbow', 'wrist', 'hand'),
    ),
    'coco_17': (
        'nose', *_pairs('eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
    ),
    # Human3.6M's own order, which the regressor J_regressor_h36m_correct.npy also has
    'h36m_17': (
        'pelvis', *_sides('right', 'hip', 'knee', 'ankle'), 'spine', 'neck', 'jaw', 'head_top',
        *_sides('left', 'shoulder', 'elbow', 'wrist'),
    ),
    # the order of SPIN's J_regressor_h36m.npy: here the left leg comes first
    'h36m_17_left_first': (
        'pelvis', *_sides('left', 'hip', 'knee', 'ankle'), 'spine', 'neck', 'jaw', 'head_top',
        *_sides('left', 'shoulder', 'elbow', 'wrist'),
    ),
    # what Human3.6M and 3DPW are evaluated on, in the order of LSP
    'common_14': (
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
        'left_wrist', 'neck', 'head_top',
    ),
    # MuPoTS-3D's; the first 17 rows of J_regressor_mi_smpl.npy
    'mupots_17': (
        'head_top', 'neck', *_sides('right', 'shoulder', 'elbow', 'wrist'),
        *_sides('right', 'hip', 'knee', 'ankle'), 'pelvis', 'spine', 'head',
    ),
    # J_regressor_extra.npy: LSP's hips, neck and head, MPII's pelvis and thorax, Human3.6M's rest
    'extra_9': (
        'right_hip', 'left_hip', 'neck', 'head_top', 'pelvis', 'thorax', 'spine', 'jaw', 'head'
    ),
}  # fmt: skip


def joint_names(joint_set: str) -> tuple[str, ...]:
    """The names of a set, in its order.

    Raises:
        ValueError: no set of that name.
    """
    if joint_set not in JOINT_SETS:
        raise ValueError(f'joint_set={joint_set!r} must be one of {", ".join(JOINT_SETS)}')
    return JOINT_SETS[joint_set]


def other_side(name: str) -> str:
    """``right_knee`` of ``left_knee``; what has no side is its own."""
    for side, other in (('left_', 'right_'), ('right_', 'left_')):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def mirror_indices(names: Sequence[str]) -> list[int]:
    """Where in a set, for each joint, the same joint of the other side is."""
    return [names.index(other_side(name)) for name in names]


def mapping(source: Sequence[str], target: Sequence[str]) -> list[int]:
    """Where in one set the joints of another are: ``points[mapping(source, target)]``.

    Raises:
        ValueError: source lacks some of them.
    """
    if missing := [name for name in target if name not in source]:
        raise ValueError(f'source lacks {", ".join(missing)}; it has {", ".join(source)}')
    return [source.index(name) for name in target]
