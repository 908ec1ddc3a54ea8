"""3DPCK on MuPoTS-3D by the rules of its authors' evaluation, which is in Matlab.

Letters: K = 17 joints in the order ``mupots_17``, G annotated persons and P predicted ones of a
picture.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from hsjp_mm.evaluation.pose_errors import LIMIT, as_points, joint_errors, pck_and_auc
from hsjp_mm.ops.cameras import crop_to_image, input_to_crop, to_pixels
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.registry import METRICS

NAMES = joint_names('mupots_17')
ROOT = NAMES.index('pelvis')
BONES = {
    'spine': 'pelvis', 'neck': 'spine', 'head_top': 'neck', 'head': 'neck',
    'right_shoulder': 'neck', 'right_elbow': 'right_shoulder', 'right_wrist': 'right_elbow',
    'left_shoulder': 'neck', 'left_elbow': 'left_shoulder', 'left_wrist': 'left_elbow',
    'right_hip': 'pelvis', 'right_knee': 'right_hip', 'right_ankle': 'right_knee',
    'left_hip': 'pelvis', 'left_knee': 'left_hip', 'left_ankle': 'left_knee',
}  # fmt: skip
"""Each joint's parent, parents first."""
MEASURED = slice(0, 14)
"""Head top to left ankle: what 3DPCK counts."""
MATCHED = slice(1, 14)
"""Neck to left ankle: what persons are matched by."""
NEAR = 40.0
"""Pixels, along x and along y, up to which a joint speaks for a match."""
UNMATCHED = 1e5
"""Millimeters of an annotated person whom no prediction matches."""
SEQUENCES = 20


def with_bones_of(found: Tensor, truth: Tensor) -> Tensor:
    """Give each bone of poses (…, 17, 3) the length that it has in truth, keeping its direction.

    A bone of length 0 has no direction and stays a point.
    """
    scaled = found.clone()
    for joint, parent in BONES.items():
        child, above = NAMES.index(joint), NAMES.index(parent)
        bone = found[..., child, :] - found[..., above, :]
        length = (truth[..., child, :] - truth[..., above, :]).norm(dim=-1, keepdim=True)
        own = bone.norm(dim=-1, keepdim=True)
        scale = torch.where(own > 0, length / own.clamp(min=1e-12), torch.zeros_like(own))
        scaled[..., child, :] = scaled[..., above, :] + scale * bone
    return scaled


def match(found: Tensor, truth: Tensor) -> list[int | None]:
    """Give each annotated person a prediction, one after the other.

    It is the one, of those that are not given away, of which most joints from the neck to the left
    ankle are within 40 pixels along both axes; of equal ones the first. None with no such joint.

    Args:
        found: (P, 17, 2) in pixels.
        truth: (G, 17, 2) in pixels; NaN is near nothing.

    Returns:
        For each of the G persons the prediction's place, or None.
    """
    near = (found[None, :, MATCHED] - truth[:, None, MATCHED]).abs() < NEAR
    votes = near.all(dim=-1).sum(dim=-1)  # (G, P)
    free = torch.ones(len(found), dtype=torch.bool)
    chosen: list[int | None] = []
    for person in votes:
        person = torch.where(free, person, 0)
        best = int(person.argmax()) if len(person) else 0
        if len(person) and person[best] > 0:
            free[best] = False
            chosen.append(best)
        else:
            chosen.append(None)
    return chosen


@METRICS.register_module()
class MupotsPCK(BaseMetric):
    """3DPCK within 150 mm of MuPoTS-3D's 14 joints, and the area under its curve, in percent.

    From `Single-Shot Multi-Person 3D Pose Estimation From Monocular RGB
    <https://arxiv.org/abs/1712.03453>`_ and the Matlab code published with the data set, after its
    rules: predictions are matched with the annotated persons of a picture by their joints in the
    picture; poses are taken relative to the pelvis; the bones of a prediction get the lengths of
    the annotated ones; the results of the sequences are averaged, all of one weight.

    - ``PCK_all``, ``AUC_all``: annotated persons without a prediction count as wrong.
    - ``PCK_matched``, ``AUC_matched``: they do not count.
    - the same four with ``_unscaled``: bones as predicted.

    As in 3DCrowdNet, each annotated box gives one prediction, whose pelvis is put at the annotated
    one before it is projected; all and matched are therefore nearly the same. Predictions of other
    boxes have to be put in the data set's file.

    The data set and the model have ``joint_set='mupots_17'``, its joints are from the camera and
    its cameras are known. With SMPL the joints should come from the regressor that belongs to the
    data set, ``regressors=dict(mupots_17='data/smpl/J_regressor_mi_smpl.npy')``; the hips of
    Human3.6M's are elsewhere.

    Args:
        collect_device, prefix: As in MMEngine's BaseMetric.

    Raises:
        ValueError: Another joint set, joints that are not from the camera or not labelled, an
            unknown camera, or a prediction that is not finite.

    Examples:
        >>> test_evaluator = dict(type='hsjp_mm.MupotsPCK')
    """

    default_prefix = 'mupots'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the joints of each person, in space and in the picture."""
        for sample in data_samples:
            self.results.append(self._person(sample))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Match in each picture, average in each sequence, then over the sequences."""
        pictures = defaultdict(list)
        for person in results:
            pictures[person['sequence'], person['image']].append(person)
        errors: dict[str, list[dict[str, np.ndarray]]] = defaultdict(list)
        for (sequence, _), persons in pictures.items():
            errors[sequence] += _errors_of(sorted(persons, key=lambda person: person['id']))
        scores: dict[str, float] = {}
        for ending, key in (('', 'scaled'), ('_unscaled', 'unscaled')):
            for which in ('all', 'matched'):
                shares = [_shares(found, key, which == 'matched') for found in errors.values()]
                pck, auc = np.mean([share for share in shares if share is not None] or [(0, 0)], 0)
                scores |= {f'PCK_{which}{ending}': pck, f'AUC_{which}{ending}': auc}
        self._report(scores, errors)
        return {name: float(value) for name, value in scores.items()}

    def _person(self, sample: dict) -> dict[str, Any]:
        if sample['joint_set'] != 'mupots_17':
            raise ValueError(f'joint_set={sample["joint_set"]!r} of the data set must be mupots_17')
        truth = sample['gt_instances']
        joints, camera = as_points(truth['joints'])[0], as_points(np.asarray(sample['camera']))
        found = as_points(sample['pred_instances']['joints'])[0]
        name = f'id {sample["id"]}'
        if not bool((as_points(truth['joints_weight'])[0] > 0).all()):
            raise ValueError(f'{name} has joints that are not labelled')
        if not joints[ROOT, 2] > 0:
            raise ValueError(
                f'{name} has its pelvis at a depth of {float(joints[ROOT, 2])} m; joints must be '
                'from the camera'
            )
        if not found.isfinite().all():
            raise ValueError(f'{name} has predicted coordinates that are not finite')
        placed = found - found[ROOT] + joints[ROOT]
        return {
            'id': int(sample['id']), 'image': sample['img_path'], 'sequence': sample['sequence'],
            'found': found - found[ROOT], 'truth': joints - joints[ROOT],
            'found_pixels': _pixels(placed, camera, name),
            'truth_pixels': _image_keypoints(sample),
        }  # fmt: skip

    def _report(self, scores: dict[str, float], errors: dict[str, list]) -> None:
        persons = [person for found in errors.values() for person in found]
        unmatched = sum(not person['matched'] for person in persons)
        few = '' if len(errors) == SEQUENCES else f', not the {SEQUENCES} of the data set'
        facts = (
            f'14 joints of mupots_17; root pelvis; matched within {NEAR:.0f} pixels; mean of '
            f'{len(errors)} sequences{few}; {len(persons)} persons, {unmatched} not matched'
        )
        lines = [
            f'{name} {value:.2f} %'
            + (f' within {LIMIT:.0f} mm' if 'PCK' in name else '')
            + (' (bones as predicted; ' if 'unscaled' in name else ' (bones of true lengths; ')
            + f'{facts})'
            for name, value in scores.items()
        ]
        MMLogger.get_current_instance().info('\n'.join(lines))


def _errors_of(persons: list[dict]) -> list[dict[str, Any]]:
    """Errors (14,) of each annotated person of a picture, both ways, and whether he is matched."""
    found, truth, found_pixels, truth_pixels = (
        torch.stack([person[key] for person in persons])
        for key in ('found', 'truth', 'found_pixels', 'truth_pixels')
    )
    errors = []
    for true, place in zip(truth, match(found_pixels, truth_pixels), strict=True):
        if place is None:
            missed = np.full(len(NAMES[MEASURED]), UNMATCHED)
            errors.append({'scaled': missed, 'unscaled': missed, 'matched': False})
            continue
        poses = {'scaled': with_bones_of(found[place], true), 'unscaled': found[place]}
        measured = {
            key: joint_errors(pose[None, MEASURED], true[None, MEASURED])[0].numpy()
            for key, pose in poses.items()
        }
        errors.append({**measured, 'matched': True})
    return errors


def _shares(persons: list[dict], key: str, only_matched: bool) -> tuple[float, float] | None:
    """PCK and AUC of a sequence; None if nobody counts."""
    errors = [person[key] for person in persons if person['matched'] or not only_matched]
    return pck_and_auc(np.stack(errors)) if errors else None


def _pixels(points: Tensor, camera: Tensor, name: str) -> Tensor:
    """Points (17, 3) before a camera (4,) in pixels (17, 2) of the picture."""
    if not camera.isfinite().all():
        raise ValueError(f'{name} has no known camera')
    return to_pixels(points, camera)


def _image_keypoints(sample: dict) -> Tensor:
    """Annotated keypoints (17, 2) in pixels of the picture, NaN where not labelled.

    The data sample has them in pixels of the network's input.
    """
    truth = sample['gt_instances']
    keypoints = as_points(truth['keypoints'])[0, :, :2]
    crop = as_points(np.asarray(sample['crop']))
    keypoints = crop_to_image(input_to_crop(keypoints, sample['input_size']), crop)
    labelled = as_points(truth['keypoints_visible'])[0] > 0
    return torch.where(labelled[:, None], keypoints, torch.nan)
