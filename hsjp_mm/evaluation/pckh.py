"""PCKh on MPII as the PBN paper reports it, for visible and invisible joints too.

Letters: N persons, K = 16 joints.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from mmpose.evaluation import MpiiPCKAccuracy

from hsjp_mm.evaluation.pck import (
    COLUMNS,
    average,
    column_keypoints,
    keypoint_pck,
    predicted_keypoints,
    table,
)
from hsjp_mm.ops.visibility import visibility
from hsjp_mm.registry import METRICS
from hsjp_mm.utils.optional import import_optional

HARD = ('elbow', 'wrist', 'hip', 'knee', 'ankle')
"""The ten hard joints of tables 6 and 7."""
NOT_IN_MEAN = ('pelvis', 'thorax')
"""MPII's own evaluation leaves them out."""
HEAD = ('upper_neck', 'head_top')
"""What the head size is derived from; MPII does not say whether they are visible."""
TABLE = {**COLUMNS, 'hard': 'Hard', 'all_joints': 'Every'}


def head_size(keypoints: np.ndarray, visible: np.ndarray, names: dict[str, int]) -> float:
    """Derive the head size from the annotated head, for annotations without head boxes.

    MPII's head size is 0.6 of the diagonal of the head box. For most persons the annotated head top
    and upper neck were computed from that box, with fractions of a pixel, 0.8 of the diagonal
    apart: their head size is 0.75 of the distance of the two. Of the 2,017 persons of MPII's
    validation split with all joints that is right to 0.001 % for 1,896. For the other 121 both
    joints stand on whole pixels and do not tell the size exactly: it would be off by 1 % to 3.2 %
    for 35 of them. None is derived for those.

    Args:
        keypoints: (1, K, 2) in pixels of the image.
        visible: (1, K), above 0 where labelled.
        names: index of each keypoint by its name.

    Returns:
        pixels; NaN where the head is not labelled, or only to whole pixels.
    """
    ends = [names[name] for name in HEAD]
    if not (np.asarray(visible)[0, ends] > 0).all():
        return np.nan
    neck, top = points = np.asarray(keypoints, float)[0, ends]
    if (points == np.round(points)).all():
        return np.nan
    return 0.75 * float(np.hypot(*(top - neck)))


def read_visibility(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Read an annotation file of the stacked hourglass release, such as its ``valid.h5``.

    Returns:
        joints (N, K, 2) cut to whole pixels, 0 where not labelled, and visible (N, K) bool.

    Raises:
        FileNotFoundError: the file is absent.
        ImportError: h5py is not installed.
        ValueError: it holds no ``part`` (N, K, 2) and ``visible`` (N, K).
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'visibility_file={path!r} does not exist')
    h5py = import_optional('h5py', f'reading visibility_file={path!r}')
    with h5py.File(path, 'r') as file:
        missing = [key for key in ('part', 'visible') if key not in file]
        if missing:
            raise ValueError(f'visibility_file={path!r} has no {" and no ".join(missing)}')
        return np.array(file['part']), np.array(file['visible']) > 0


def visible_joints(joints: np.ndarray, visible: np.ndarray, row: int, person: dict) -> np.ndarray:
    """Pick the flags (1, K) of a person.

    Args:
        joints, visible: from :func:`read_visibility`.
        row: of the person in both.
        person: with ``gt_coords`` (1, K, 2) and ``mask`` (1, K), True where labelled.

    Raises:
        ValueError: that row has other joints.
    """
    labelled = person['mask'][0]
    known = row < len(joints)
    if not known or (np.abs(person['gt_coords'][0] - joints[row])[labelled] >= 1).any():
        raise ValueError(
            f'person {row} of the data set is another than row {row} of the {len(joints)} in '
            'visibility_file: both must list the same persons in the same order'
        )
    return visible[None, row]


@METRICS.register_module()
class PCKh(MpiiPCKAccuracy):
    """PCKh of tables 1, 2, 3, 6 and 7 of the PBN paper, in percent.

    A joint is correct if it is predicted at most ``thr`` head sizes away. Reports ``head``,
    ``shoulder``, ``elbow``, ``wrist``, ``hip``, ``knee``, ``ankle``, each the mean of its left and
    right joint (the head is the head top), and

    - ``mean``: over all labelled joints but pelvis and thorax, the measure of MPII and of stock
      ``PCK``: a joint that is labelled more often weighs more;
    - ``hard``: the plain mean of elbow, wrist, hip, knee and ankle, the measure of tables 6 and 7,
      whose mean is the plain one of their columns;
    - ``all_joints``: the plain mean of all joints, pelvis and thorax among them. The means of
      tables 2 and 3 are greater than any weights of their columns under MPII's own counts give
      (91.8 against 91.4, 78.2 against 76.1), so they hold joints that are not shown; the paper
      does not say which.

    With ``visibility_file`` all of it once more as ``visible/…`` and ``invisible/…``, without the
    head and the upper neck, for which MPII has no flag. A value without a joint to count is left
    out of the result, and named in the log.

    Where stock MpiiPCKAccuracy does otherwise:

    - It adds a pixel to the predictions, as if they were counted from 0 and the joints from 1.
      Stock MpiiDataset gives a network the joints as they are in the file, so its predictions are
      counted as the joints are, and a perfect network is off by 1.4 pixels. Nothing is added here.
    - A distance of exactly ``thr`` is wrong for it, and right in MPII's own code and here.
    - A joint that nobody has scores -100 in its column; here it does not count.
    - It needs ``headbox_file`` in the data set. Here that is used if given, and everybody counts.
      Otherwise the head size is derived, see :func:`head_size`. Persons without a labelled head are
      then left out (26 of the 2,958 for validation), and those whose head is annotated to whole
      pixels only (about 6 %). The log says how many of each there are.
    - ``joints_vis`` of MMPose's JSON says labelled, not visible, and stock has no visible ones.

    Args:
        thr: threshold in head sizes.
        visibility_file: HDF5 of the stacked hourglass release of the same persons in the same
            order as the data set's annotation file: ``valid.h5`` goes with ``mpii_val.json``.
        collect_device, prefix: as in MMEngine's BaseMetric.

    Raises:
        ValueError: ``thr`` is not positive; a person whose joints are others in the
            ``visibility_file``; a head size that is not positive.
        FileNotFoundError: ``visibility_file`` is absent.

    Examples:
        With MPII's head boxes, and the visible and the invisible joints apart:

        >>> val_dataloader = dict(
        ...     dataset=dict(headbox_file='data/mpii/annotations/mpii_gt_val.mat')
        ... )
        >>> val_evaluator = dict(
        ...     type='hsjp_mm.PCKh', visibility_file='data/mpii/annotations/valid.h5'
        ... )
        >>> default_hooks = dict(checkpoint=dict(save_best='pckh/mean', rule='greater'))
    """

    default_prefix = 'pckh'

    def __init__(
        self,
        thr: float = 0.5,
        visibility_file: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(thr, 'head', collect_device=collect_device, prefix=prefix)
        if not thr > 0:
            raise ValueError(f'thr={thr} head sizes must be positive')
        self.visibility = None if visibility_file is None else read_visibility(visibility_file)

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep joints, head size and visibility of each person."""
        names = self.dataset_meta['keypoint_name2id']
        for sample in data_samples:
            truth = dict(sample['gt_instances'])
            if 'head_size' not in truth:
                labelled = visibility(truth['keypoints_visible'])
                truth['head_size'] = head_size(truth['keypoints'], labelled, names)
            if (np.asarray(truth['head_size']) <= 0).any():
                raise ValueError(
                    f'head_size={float(np.ravel(truth["head_size"])[0])} pixels of person '
                    f'{sample.get("id")} must be positive'
                )
            found = {'keypoints': predicted_keypoints(sample)}
            super().process(data_batch, [{'gt_instances': truth, 'pred_instances': found}])
            if self.visibility is not None:
                flags = visible_joints(*self.visibility, sample['id'], self.results[-1])
                self.results[-1]['visible'] = flags

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the values of all rows, and log them as a table."""
        found, truth, labelled, sizes = (
            np.concatenate([result[key] for result in results])
            for key in ('pred_coords', 'gt_coords', 'mask', 'head_size')
        )
        known = ~np.isnan(sizes[:, 0])
        rows = {'all': labelled}
        if self.visibility is not None:
            visible = np.concatenate([result['visible'] for result in results])
            names = self.dataset_meta['keypoint_name2id']
            flagged = labelled & ~np.isin(np.arange(len(names)), [names[n] for n in HEAD])
            rows |= {'visible': flagged & visible, 'invisible': flagged & ~visible}
        scores = {
            row: self._scores(found[known], truth[known], counted[known], sizes[known, 0])
            for row, counted in rows.items()
        }
        self._report(scores, self._left_out(labelled[~known]), len(known))
        return {
            column if row == 'all' else f'{row}/{column}': value
            for row, values in scores.items()
            for column, value in values.items()
            if not np.isnan(value)
        }

    def _scores(self, found, truth, counted, sizes) -> dict[str, float]:
        names = self.dataset_meta['keypoint_name2id']
        shares = keypoint_pck(found, truth, counted, sizes, self.thr)
        parts = column_keypoints(names, head=['head_top'])
        scores = {column: average(shares[joints]) for column, joints in parts.items()}
        rest = [index for name, index in names.items() if name not in NOT_IN_MEAN]
        hard = [joint for column in HARD for joint in parts[column]]
        return {
            **scores,
            'mean': average(shares[rest], counted.sum(axis=0)[rest]),
            'hard': average(shares[hard]),
            'all_joints': average(shares),
        }

    def _left_out(self, labelled: np.ndarray) -> dict[str, int]:
        """Count the persons without a head size by the reason, from their labelled joints."""
        names = self.dataset_meta['keypoint_name2id']
        heads = int(labelled[:, [names[name] for name in HEAD]].all(axis=1).sum())
        return {
            'their head is not labelled': len(labelled) - heads,
            'their head is annotated to whole pixels only': heads,
        }

    def _report(
        self, scores: dict[str, dict[str, float]], left_out: dict[str, int], persons: int
    ) -> None:
        log = MMLogger.get_current_instance()
        title = f'PCKh@{self.thr:g} of {persons - sum(left_out.values())} persons'
        log.info(table(title, TABLE, scores))
        for reason, number in left_out.items():
            if number:
                log.warning(
                    f'{number} of {persons} persons left out: {reason}, and without headbox_file '
                    'in the data set they have no head size'
                )
        if self.visibility is None:
            log.info('PCKh: without visibility_file, visible and invisible joints are not told')
        empty = [
            f'{row} {column}'
            for row, values in scores.items()
            for column, value in values.items()
            if np.isnan(value) and (row == 'all' or column != 'head')
        ]
        if empty:
            log.warning(f'PCKh: nobody has these joints, they are left out: {", ".join(empty)}')
