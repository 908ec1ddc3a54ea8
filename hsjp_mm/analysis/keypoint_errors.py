"""What keypoint results get wrong: AP by OKS threshold, and the kinds of error behind it.

The diagnosis is that of Ronchi and Perona, 'Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation' (ICCV 2017), section 3.1. Letters: N detections of a result file, D those of an image, M
those matched to a person, G annotated persons of an image, K keypoints, T OKS thresholds.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from hsjp_mm.analysis.persons import Persons, skeleton
from hsjp_mm.datasets.coco_files import check_coco, fill_empty_keypoints, read_coco, read_results
from hsjp_mm.datasets.metainfo import parse_metainfo
from hsjp_mm.ops.oks import similarity
from hsjp_mm.utils.progress import track

ERRORS = ('jitter', 'inversion', 'swap', 'miss')
KINDS = ('good', *ERRORS)
UNKNOWN = -1
"""Of a keypoint that is not annotated, or whose detection is matched to nobody."""
MATCH = 0.1
"""OKS from which a detection is taken for a person's."""
NEAR, HUMAN = 0.5, 0.85
"""Keypoint similarity of a jitter at least, and within which human annotators lie."""
IOU_TYPES = ('keypoints', 'keypoints_crowd')
METAINFO = 'configs/_base_/datasets/coco.py'


def diagnose(
    annotations: str | Path | COCO,
    results: str | Path,
    metainfo: str | Mapping[str, Any] = METAINFO,
    iou_type: str = 'keypoints',
    use_area: bool = True,
) -> dict:
    """Break the errors of keypoint results down by kind and by keypoint.

    AP is the stock evaluator's over all sizes of persons. Detections are matched to persons as it
    does, at an OKS of 0.1; of those matched, each annotated keypoint is of one kind, see
    :func:`classify`. Persons that nobody found, and detections of nobody, are only counted. What an
    error costs is the AP after correcting all keypoints of that kind, and no others, minus the AP.

    Args:
        annotations: COCO-style JSON with keypoints, or what was read from it.
        results: COCO-style JSON: a list with image_id, category_id, keypoints and score of each
            detection, as CocoMetric writes it.
        metainfo: Names, sigmas and which keypoints are left and right of each other: a file, as
            data sets take it in ``from_file``, or what they take as ``metainfo``.
        iou_type: As in CocoMetric.
        use_area: As in CocoMetric. False: 0.53 of the box is taken for the area.

    Returns:
        Plain numbers: ``persons``, ``detections``, ``evaluated`` of them (the evaluator takes 20
        an image, and none without a keypoint score above 0), ``matched``; ``AP``,
        ``oks_thresholds`` (T), ``AP_by_oks`` (T), ``recall`` (101) and ``precision`` (T, 101);
        ``keypoints``, how many were judged, and ``shares`` of them by kind; ``by_keypoint``, both
        by name; ``AP_gain`` by kind of error and for 'all' four, and ``AP_gain_by_oks`` (T). A
        share of no keypoints is None.

    Raises:
        ValueError: Results or annotations that are not of this form, do not fit each other or the
            keypoint set, or are empty.
        FileNotFoundError: No such file.
    """
    if iou_type not in IOU_TYPES:
        raise ValueError(f'iou_type={iou_type!r} must be one of {", ".join(IOU_TYPES)}')
    named = {'from_file': metainfo} if isinstance(metainfo, str) else metainfo
    meta = parse_metainfo(named)
    names, _ = skeleton(meta)
    with _silence():
        coco = annotations if isinstance(annotations, COCO) else _read_annotations(annotations)
        _check_annotations(coco, len(names), iou_type, use_area)
        detections = _read_results(results, coco, len(names))
        evaluator = _Evaluator(coco, detections, meta, iou_type, use_area)
    precision = evaluator.precision()
    counts = evaluator.counts()
    kinds, corrected = _classify_all(evaluator, np.array(meta['flip_indices']))
    gains = {}
    for error in track((*ERRORS, 'all'), 'kinds of error corrected'):
        wrong = kinds > 0 if error == 'all' else kinds == KINDS.index(error)
        points = np.where(wrong[..., None], corrected, evaluator.original)
        gains[error] = _by_oks(evaluator.precision(points)) - _by_oks(precision)
    return {
        'results': str(results),
        **counts,
        'AP': float(_by_oks(precision).mean()),
        'oks_thresholds': evaluator.params.iouThrs[1:].round(2).tolist(),
        'AP_by_oks': _by_oks(precision).tolist(),
        'recall': evaluator.params.recThrs.round(2).tolist(),
        'precision': precision.mean(axis=2).tolist(),
        **_shares(kinds),
        'by_keypoint': {name: _shares(kinds[:, k]) for k, name in enumerate(names)},
        'AP_gain': {error: float(gain.mean()) for error, gain in gains.items()},
        'AP_gain_by_oks': {error: gain.tolist() for error, gain in gains.items()},
    }


def classify(
    points: np.ndarray, owners: np.ndarray, persons: Persons, sigmas: np.ndarray, flip: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Say of what kind each keypoint of an image is, and where it would be without its error.

    The similarity ks to the keypoint itself and, for confusions of left and right, to its
    counterpart is taken for the owner and for all other persons. The greatest decides, as in the
    authors' code; of equals the owner's counts first. Below 0.5 it is a miss; if it is that to
    another person, a swap; to the owner's counterpart, an inversion; to the owner's keypoint
    itself, a jitter below 0.85, else good.

    Correcting takes away no more than the kind of error: a miss comes to ks = 0.5 and a jitter to
    0.85, both on the line to the right place; an inversion or a swap is as far from the right
    place, in terms of ks, as it was from the wrong one. The authors' code (coco-analyze) leaves the
    2 of k = 2 sigma out when it moves points, so that they end nearer, at the fourth root of these
    ks, and it reports greater gains.

    Args:
        points: (M, K, 2), (x, y) in pixels of the image.
        owners: (M,), the persons they are matched to.
        persons: All of the image, with their areas.
        sigmas: (K,).
        flip: (K,), the counterpart of each keypoint, or itself.

    Returns:
        Kinds (M, K), indices of KINDS or UNKNOWN where the owner's is not annotated, and corrected
        points (M, K, 2).
    """
    rows = np.arange(len(points))
    targets = np.stack([persons.keypoints, persons.keypoints[:, flip]])  # (2, G, K, 2)
    labelled = np.stack([persons.labelled, persons.labelled[:, flip]])
    spreads = np.stack([sigmas, sigmas[flip]])[:, None] * 2 * np.sqrt(persons.areas)[:, None]
    spreads += np.spacing(1)
    offsets = points[:, None, None] - targets  # (M, 2, G, K, 2)
    ks = labelled * np.stack(
        [
            similarity(offsets[:, 0], persons.areas, sigmas),
            similarity(offsets[:, 1], persons.areas, sigmas[flip]),
        ],
        axis=1,
    )
    own, mirrored = ks[rows, 0, owners], ks[rows, 1, owners]  # (M, K)
    greatest = ks.max(axis=(1, 2))
    kinds = np.select(
        [~persons.labelled[owners], greatest < NEAR, own == greatest, mirrored == greatest],
        [
            UNKNOWN,
            KINDS.index('miss'),
            np.where(own < HUMAN, KINDS.index('jitter'), KINDS.index('good')),
            KINDS.index('inversion'),
        ],
        default=KINDS.index('swap'),
    )
    # in units of its spread, the offset from where the point belongs or from what attracted it
    scaled = (offsets / spreads[..., None]).reshape(len(points), -1, *points.shape[1:])
    attractor = ks.reshape(len(points), -1, points.shape[1]).argmax(axis=1)
    confused = np.isin(kinds, [KINDS.index('inversion'), KINDS.index('swap')])
    attractor = np.where(confused, attractor, owners[:, None])
    scaled = np.take_along_axis(scaled, attractor[:, None, :, None], axis=1)[:, 0]
    lengths = np.linalg.norm(scaled, axis=-1)
    allowed = np.select(
        [kinds == KINDS.index('jitter'), kinds == KINDS.index('miss')],
        [np.sqrt(-2 * np.log(HUMAN)), np.sqrt(-2 * np.log(NEAR))],
        default=lengths,
    )
    # a hair less, so that rounding does not put a corrected person below an OKS threshold
    shrink = (1 - 1e-6) * np.divide(allowed, lengths, out=np.ones_like(lengths), where=lengths > 0)
    corrected = persons.keypoints[owners] + scaled * (shrink * spreads[0, owners])[..., None]
    return kinds, np.where((kinds > 0)[..., None], corrected, points)


class _Evaluator(COCOeval):
    """Stock COCOeval with the OKS of an image computed at once.

    The stock method goes through every pair of detection and person in Python, which takes most of
    the time, and here all is evaluated six times. Detections can be moved without loading them
    again.
    """

    def __init__(
        self, coco: COCO, detections: list[dict], meta: dict, iou_type: str, use_area: bool
    ) -> None:
        sigmas = np.array(meta['sigmas'])
        super().__init__(coco, coco.loadRes(detections), iou_type, sigmas, use_area)
        self.names, _ = skeleton(meta)
        self.params.iouThrs = np.array([MATCH, *self.params.iouThrs])
        self.params.areaRng, self.params.areaRngLbl = [self.params.areaRng[0]], ['all']
        keypoints = np.array([detection['keypoints'] for detection in detections])
        self.original = keypoints.reshape(len(detections), -1, 3)[..., :2]  # (N, K, 2)
        self.points = self.original
        self.persons: dict[tuple[int, int], Persons] = {}

    def precision(self, points: np.ndarray | None = None) -> np.ndarray:
        """Evaluate with keypoints (N, K, 2) in place of the detections'.

        Returns:
            (T, 101, categories with persons), precision by OKS threshold and recall.
        """
        self.points = self.original if points is None else points
        with _silence():
            self.evaluate()
            self.accumulate()
        precision = self.eval['precision'][1:, :, :, 0, 0]
        return precision[..., (precision > -1).all(axis=(0, 1))]

    def counts(self) -> dict[str, int]:
        """Numbers of persons, detections, detections evaluated and matched the last time."""
        images = [image for image in self.evalImgs if image]
        return {
            'persons': int(sum((image['gtIgnore'] == 0).sum() for image in images)),
            'detections': len(self.points),
            'evaluated': sum(len(image['dtIds']) for image in images),
            'matched': sum(len(rows) for _, rows, _ in self.matches()),
        }

    def matches(self) -> Iterator[tuple[Persons, np.ndarray, np.ndarray]]:
        """Go through the last matches by image: persons, detections (M,), their persons (M,)."""
        for image in self.evalImgs:
            if image is None:
                continue
            key = image['image_id'], image['category_id']
            matched = (image['dtMatches'][0] >= 0) & ~image['dtIgnore'][0].astype(bool)
            if matched.any():
                numbers = {person['id']: g for g, person in enumerate(self._gts[key])}
                owners = np.array([numbers[i] for i in image['dtMatches'][0][matched]])
                # the stock loader numbers detections from 1
                yield self._persons(key), np.array(image['dtIds'])[matched] - 1, owners

    def computeOks(self, imgId: int, catId: int) -> np.ndarray | list:
        """OKS (D, G) of detections, by falling score, and persons."""
        key = imgId, catId
        if not self._gts[key] or not self._dts[key]:
            return []
        scores = np.array([detection[self.score_key] for detection in self._dts[key]])
        order = np.argsort(-scores, kind='mergesort')[: self.params.maxDets[-1]]
        points = self.points[[self._dts[key][d]['id'] - 1 for d in order]][:, None]
        persons = self._persons(key)
        # without keypoints, what counts is the distance to a box of three times the size
        corner, size = persons.boxes[:, None, :2], persons.boxes[:, None, 2:]
        outside = np.maximum(corner - size - points, 0) + np.maximum(points - corner - 2 * size, 0)
        some = persons.labelled.any(axis=1)[:, None]
        offsets = np.where(some[..., None], points - persons.keypoints, outside)
        ks = similarity(offsets, persons.areas, self.sigmas)
        counted = persons.labelled | ~some
        return (ks * counted).sum(axis=2) / counted.sum(axis=1)

    def _persons(self, key: tuple[int, int]) -> Persons:
        if key not in self.persons:
            anns = self._gts[key]
            keypoints = np.array([ann['keypoints'] for ann in anns], float)
            keypoints = keypoints.reshape(len(anns), -1, 3)
            boxes = np.array([ann['bbox'] for ann in anns], float)
            areas = boxes[:, 3] * boxes[:, 2] * 0.53
            if self.use_area:
                areas = np.array([ann['area'] for ann in anns], float)
            self.persons[key] = Persons(
                self.names, keypoints[..., :2], keypoints[..., 2] > 0, boxes, areas=areas
            )
        return self.persons[key]


def _classify_all(evaluator: _Evaluator, flip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kinds (N, K) and corrected points (N, K, 2) of all detections."""
    kinds = np.full(evaluator.original.shape[:2], UNKNOWN)
    corrected = evaluator.original.copy()
    for persons, rows, owners in evaluator.matches():
        kinds[rows], corrected[rows] = classify(
            evaluator.original[rows], owners, persons, evaluator.sigmas, flip
        )
    return kinds, corrected


def _silence() -> contextlib.AbstractContextManager:
    """The COCO tools print what they do."""
    return contextlib.redirect_stdout(io.StringIO())


def _by_oks(precision: np.ndarray) -> np.ndarray:
    """AP (T,) by OKS threshold."""
    return precision.mean(axis=(1, 2))


def _shares(kinds: np.ndarray) -> dict:
    """How many keypoints were judged, and the share of each kind."""
    judged = int((kinds != UNKNOWN).sum())
    shares = {kind: float((kinds == i).sum() / judged) for i, kind in enumerate(KINDS) if judged}
    return {'keypoints': judged, 'shares': shares or dict.fromkeys(KINDS)}


def _read_annotations(path: str | Path) -> COCO:
    coco = read_coco(path, 'annotations')
    fill_empty_keypoints(coco)
    return COCO(str(path), ann_data=coco.content)


def _check_annotations(coco: COCO, num_keypoints: int, iou_type: str, use_area: bool) -> None:
    annotations = check_coco(coco.dataset, 'annotations').annotations
    hint = ': is it a file for detection?'
    first = next((row['keypoints'] for row in annotations if row.get('keypoints')), None)
    if isinstance(first, list) and len(first) % 3 == 0 and len(first) != 3 * num_keypoints:
        raise ValueError(
            f'metainfo: it names {num_keypoints} keypoints, but the annotations have '
            f'{len(first) // 3}'
        )
    keypoints = annotations.numbers('keypoints', 3 * num_keypoints, hint=hint)
    if not keypoints[:, 2::3].any():
        raise ValueError('annotations: nobody has keypoints')
    annotations.numbers('bbox', 4)
    if use_area:
        annotations.numbers('area', hint='; use_area=False takes it from the box')
    if iou_type == 'keypoints_crowd':
        annotations.numbers('num_keypoints')


def _read_results(path: str | Path, coco: COCO, num_keypoints: int) -> list[dict]:
    """Detections with the fields that the evaluator needs, as arrays where it is faster."""
    only = next(iter(coco.cats)) if len(coco.cats) == 1 else None
    results = read_results(path, 'results', only)
    if not results.rows:
        raise ValueError(f'{results.where} is empty: not one detection')
    keypoints = results.numbers('keypoints', 3 * num_keypoints)
    scores = results.numbers('score').tolist()
    for field, known in (('image_id', coco.imgs), ('category_id', coco.cats)):
        unknown = sorted(set(results.ids(field)) - set(known), key=str)
        if unknown:
            some = ', '.join(repr(value) for value in unknown[:5])
            raise ValueError(
                f'{results.where}: {len(unknown)} {field} that the annotations do not have, such '
                f'as {some}'
            )
    return [
        {
            'image_id': result['image_id'],
            'category_id': result['category_id'],
            'keypoints': points,
            'score': score,
        }
        for result, points, score in zip(results, keypoints, scores, strict=True)
    ]
