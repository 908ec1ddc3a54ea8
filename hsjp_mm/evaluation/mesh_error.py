"""MPJPE, PA-MPJPE and PVE: the errors of recovered bodies, with what they were measured on.

Letters: K joints of the data set's set, J = 24 joints of the body, V vertices.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from torch import Tensor

from hsjp_mm.evaluation.pose_errors import (
    LIMIT,
    aligned_errors,
    as_points,
    centered,
    joint_errors,
    pck_and_auc,
    table,
)
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.registry import METRICS, MODELS

NEUTRAL = '_neutral_gt'
"""Ends the names of results whose true bodies should have been men's and women's."""


@METRICS.register_module()
class MeshError(BaseMetric):
    """Errors of bodies in millimeters, each joint relative to the root of its own pose.

    - ``MPJPE``: the mean distance of the joints.
    - ``PA-MPJPE``: the same after the pose is laid on the true one by rotation, scale and
      translation, never by a reflection. What the 3D study's tables show.
    - ``PCK`` and ``AUC``: 3DPCK at 150 mm in percent, and the area under its curve.
    - ``PVE``: the mean distance of the vertices; with ``bodies`` only.

    The log says for each result what it was measured with: the body, the joints, the root, where
    the truth comes from, the protocol, and of how many persons; and lists the errors by joint. The
    predicted joints are those that the model takes from its vertices, in the set of the data set.

    Persons of whom one of the joints is not labelled are left out, and counted in the log; with
    ``bodies`` those without a pose and a shape of the model's kind of body.

    Where the truth comes from makes several millimeters. Human3.6M's are the joints of its markers:
    leave ``bodies`` out. 3DPW's are those of men's and women's bodies in the labelled poses: give
    ``bodies`` of both. If only a neutral body is there for persons labelled as men and women, the
    results are no published measure, and their names end in ``_neutral_gt``.

    Args:
        joints: The joint set that is measured; the names of its joints must be in the data set's.
        root: Name of the joint that positions are relative to, or names of several whose middle
            it is. The hips' middle and the pelvis differ by centimeters.
        bodies: Bodies by gender (``'male'``, ``'female'``, ``'neutral'``), as configs of
            ``hsjp_mm.BodyModel``, that are posed by the labels to give the true joints and
            vertices; the data set's own joints by default.
        protocol: What to call the choice of frames in the log, such as ``'Human3.6M protocol 2,
            every 64th frame'``; the frames are chosen by the data set.
        collect_device, prefix: As in MMEngine's BaseMetric.

    Raises:
        ValueError: A gender that is none, joints that the data set does not have, a prediction
            that is not finite, nobody to measure, or true and predicted bodies of other vertices.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.MeshError')
        >>> smpl = dict(type='hsjp_mm.BodyModel', file='data/smpl',
        ...             regressors=dict(h36m_17_left_first='data/smpl/J_regressor_h36m.npy',
        ...                             face_5='data/smpl/face_vertices.npy'))
        >>> test_evaluator = dict(type='hsjp_mm.MeshError', protocol='3DPW test',
        ...     bodies=dict(male=dict(**smpl, gender='male'), female=dict(**smpl, gender='female')))
    """

    default_prefix = 'mesh'

    def __init__(
        self,
        joints: str = 'common_14',
        root: str | Sequence[str] = 'pelvis',
        bodies: Mapping[str, Any] | None = None,
        protocol: str = '',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device, prefix)
        if unknown := set(bodies or {}) - {'male', 'female', 'neutral'}:
            raise ValueError(
                f'bodies has {", ".join(sorted(unknown))}, which must be male, female or neutral'
            )
        self.joints, self.names = joints, joint_names(joints)
        self.root = (root,) if isinstance(root, str) else tuple(root)
        self.protocol = protocol
        self.bodies = {
            gender: MODELS.build(body).eval() if isinstance(body, Mapping) else body
            for gender, body in (bodies or {}).items()
        }

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the errors of each person, not the bodies."""
        for sample in data_samples:
            self.results.append(self.measure(sample))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over all persons, and log what was measured."""
        kept = [result for result in results if result['errors'] is not None]
        if not kept:
            raise ValueError(f'none of {len(results)} persons has {self._needed()}')
        errors, aligned = (
            np.stack([result[key] for result in kept]) for key in ('errors', 'aligned')
        )
        pck, auc = pck_and_auc(errors)
        values = {'MPJPE': errors.mean(), 'PA-MPJPE': aligned.mean(), 'PCK': pck, 'AUC': auc}
        if vertices := [result['vertices'] for result in kept if result['vertices'] is not None]:
            values['PVE'] = np.mean(vertices)
        ending = NEUTRAL if any(result['replaced'] for result in kept) else ''
        scores = {name + ending: float(value) for name, value in values.items()}
        self._report(scores, kept, len(results), {'MPJPE': errors, 'PA-MPJPE': aligned})
        return scores

    def _needed(self) -> str:
        """What a person must have to be measured."""
        if self.bodies:
            return 'a labelled pose and shape of the body that the model has, which bodies need'
        return (
            f'all joints of joints={self.joints!r} and root={" + ".join(self.root)} labelled; '
            "'limbs_12' are those that SMPL's own joints have, without neck and head top"
        )

    def measure(self, sample: dict) -> dict[str, Any]:
        """Measure one person.

        Args:
            sample: A data sample with what was predicted, as a dictionary.

        Returns:
            ``errors`` and ``aligned``, of each joint in millimeters, before and after the pose is
            laid on the true one; None where the person has not the labels that this takes.
            ``vertices``, the mean over the vertices, None without ``bodies``. ``body``, the name of
            the predicted one, and ``replaced``, whether a neutral body stood in for the labelled
            man or woman.
        """
        places, roots = self._places()
        found, truth = sample['pred_instances'], sample['gt_instances']
        result: dict[str, Any] = {
            'errors': None, 'aligned': None, 'vertices': None, 'replaced': False,
            'body': str(sample.get('pred_body', 'not named')),
        }  # fmt: skip
        posed = None
        if self.bodies:
            if not (as_points(truth['has_pose']).all() and as_points(truth['has_shape']).all()):
                return result
            gender = str(sample.get('gender', 'neutral'))
            result['replaced'] = gender != 'neutral' and gender not in self.bodies
            posed = self._pose(truth, gender, sample)
            true_joints = posed[0]
        else:
            if not bool((as_points(truth['joints_weight'])[0, places + roots] > 0).all()):
                return result
            true_joints = as_points(truth['joints'])
        joints = as_points(found['joints'])
        predicted = centered(joints[:, places], joints[:, roots])
        expected = centered(true_joints[:, places], true_joints[:, roots])
        result['errors'] = joint_errors(predicted, expected)[0].numpy()
        result['aligned'] = aligned_errors(predicted, expected)[0].numpy()
        if posed is not None:
            vertices = centered(as_points(found['vertices']), joints[:, roots])
            expected = centered(posed[1], true_joints[:, roots])
            result['vertices'] = float(joint_errors(vertices, expected).mean())
        return result

    def _pose(self, truth: dict, gender: str, sample: dict) -> tuple[Tensor, Tensor]:
        """Joints (1, K, 3) in the data set's set and vertices (1, V, 3) of the labelled body."""
        body = self.bodies.get(gender, self.bodies.get('neutral'))
        if body is None:
            raise ValueError(
                f'bodies has {", ".join(self.bodies)}, and neither {gender}, as which id '
                f'{sample.get("id")} is labelled, nor neutral'
            )
        shape = torch.as_tensor(truth['shape']).float().cpu()[:, : body.num_shape]
        with torch.no_grad():
            posed = body(torch.as_tensor(truth['rotations']).float().cpu(), shape)
            joints = body.keypoints(posed, sample['joint_set'])
        return as_points(joints), as_points(posed.vertices)

    def _places(self) -> tuple[list[int], list[int]]:
        """Where in the data set's joint set the measured joints and the roots are."""
        known = self.dataset_meta['keypoint_name2id']
        if missing := [name for name in (*self.names, *self.root) if name not in known]:
            raise ValueError(
                f'joints={self.joints!r} and root={self.root} need {", ".join(missing)}, which the '
                f'data set does not have; its joints are {", ".join(known)}'
            )
        return [known[name] for name in self.names], [known[name] for name in self.root]

    def _report(
        self, scores: dict[str, float], kept: list[dict], total: int, errors: dict[str, np.ndarray]
    ) -> None:
        bodies = Counter(result['body'] for result in kept)
        truth = 'joints of the data set'
        if self.bodies:
            truth = 'labelled poses of ' + ', '.join(
                f'{gender} {body.name}' for gender, body in self.bodies.items()
            )
        facts = [
            f'body {", ".join(bodies)}',
            f'{len(self.names)} joints of {self.joints}',
            f'root {" + ".join(self.root)}',
            f'truth: {truth}',
            f'protocol: {self.protocol or "all frames of the data set"}',
            f'{len(kept)} persons' + (f', {total - len(kept)} left out for lack of labels'
                                      if total > len(kept) else ''),
        ]  # fmt: skip
        unit = {'PCK': f'% within {LIMIT:.0f} mm', 'AUC': '%'}
        lines = [
            f'{name} {value:.2f} {unit.get(name.removesuffix(NEUTRAL), "mm")} ({"; ".join(facts)})'
            for name, value in scores.items()
        ]
        columns = {name: values.mean(axis=0) for name, values in errors.items()}
        lines.append(table('error by joint, mm', list(self.names), columns))
        MMLogger.get_current_instance().info('\n'.join(lines))
