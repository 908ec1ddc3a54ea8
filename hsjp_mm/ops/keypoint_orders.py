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


_SMPL = (
    'pelvis', *_pairs('hip'), 'spine1', *_pairs('knee'), 'spine2', *_pairs('ankle'),
    'spine3', *_pairs('foot'), 'neck', *_pairs('collar'), 'head',
    *_pairs('shoulder', 'elbow', 'wrist', 'hand'),
)  # fmt: skip
_COMMON = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
    'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
    'left_wrist', 'neck', 'head_top',
)  # fmt: skip
_FACE = ('nose', *_pairs('eye', 'ear'))
_OPENPOSE = (
    'nose', 'neck', *_sides('right', 'shoulder', 'elbow', 'wrist'), 'pelvis',
    *_sides('right', 'hip', 'knee', 'ankle'), 'right_eye', 'left_eye', 'right_ear', 'left_ear',
)  # fmt: skip
_FEET = _sides('left', 'big_toe', 'small_toe', 'heel')
_SPIN = (*_COMMON, 'pelvis', 'thorax', 'spine', 'jaw', 'head', *_FACE)

JOINT_SETS: dict[str, tuple[str, ...]] = {
    # the joints that SMPL's rotations are about; _hand is the hand's middle
    'smpl_24': _SMPL,
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
    'common_14': _COMMON,
    'lsp_14': _COMMON,
    # those of them that SMPL's own joints are too, for labels without head top, such as 3DPW's
    'limbs_12': _COMMON[:12],
    # what mesh regressors learn in 2D and 3D: the joints that are measured, those of COCO's face,
    # and those by which Human3.6M and MuPoTS-3D are centered and drawn
    'mesh_22': (*_COMMON, 'pelvis', 'spine', 'jaw', *_FACE),
    'mpii_16': (
        *_COMMON[:6], 'pelvis', 'thorax', 'neck', 'head_top', *_COMMON[6:12]
    ),
    # BODY_25; its pelvis is called MidHip
    'openpose_25': (*_OPENPOSE, *_FEET),
    # COCO's 17 and the neck between the shoulders, of OpenPose's older model; 3DPW's 2D poses
    'openpose_18': tuple(name for name in _OPENPOSE if name != 'pelvis'),
    # SPIN's labels of persons; the last 24 of its 49
    'spin_24': _SPIN,
    # OpenPose's joints go first; those of which SPIN has its own say whose they are
    'spin_49': (
        *(f'{name}_openpose' for name in _OPENPOSE), *_FEET, *_SPIN
    ),
    # points of the face that no regressor of SMPL's gives
    'face_5': ('nose', 'right_eye', 'left_eye', 'right_ear', 'left_ear'),
    # smplx's joints of SMPL: its 24 and points of the surface; AGORA's
    'smpl_45': (
        *_SMPL, 'nose', 'right_eye', 'left_eye', 'right_ear', 'left_ear', *_FEET,
        *_sides('left', 'thumb', 'index', 'middle', 'ring', 'pinky'),
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


def shared(source: Sequence[str], target: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where the joints that two sets both have are in each of them.

    Returns:
        The places in the source and in the target: ``points[there] = labels[here]``.

    Examples:
        >>> here, there = shared(joint_names('coco_17'), joint_names('mesh_22'))
    """
    names = [name for name in target if name in source]
    return [source.index(name) for name in names], [target.index(name) for name in names]
