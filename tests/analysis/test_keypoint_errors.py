"""Letters as in the module under test."""

import contextlib
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from hsjp_mm.analysis import diagnose
from hsjp_mm.analysis.keypoint_errors import ERRORS, KINDS, UNKNOWN, classify
from hsjp_mm.analysis.persons import Persons
from tests.helpers import SHARED

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
NAMES = [META['keypoint_id2name'][k] for k in range(17)]
SIGMAS, FLIP = META['sigmas'], np.array(META['flip_indices'])
SIDE = 100.0  # of persons: the root of their area
BODY = np.array([[200 + 200 * (k % 6), 200 + 200 * (k // 6)] for k in range(17)], float)
NEIGHBOUR = BODY + np.array([0, 1000])  # so far apart that nothing is near two keypoints
NOSE, LEFT_ELBOW, LEFT_WRIST, LEFT_KNEE, RIGHT_KNEE, RIGHT_ANKLE = 0, 7, 9, 13, 14, 16


def distance(k: int, ks: float, side: float = SIDE) -> float:
    """Pixels at which a keypoint of a person has a similarity."""
    return 2 * SIGMAS[k] * side * math.sqrt(-2 * math.log(ks))


def person(number: int, points: np.ndarray, image: int = 1, labelled=None, **fields) -> dict:
    labelled = np.ones(len(points), bool) if labelled is None else labelled
    keypoints = np.column_stack([points, 2 * labelled]) * labelled[:, None]
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return {
        'id': number, 'image_id': image, 'category_id': 1, 'iscrowd': 0, 'area': SIDE**2,
        'bbox': [left, top, right - left, bottom - top], 'num_keypoints': int(labelled.sum()),
        'keypoints': keypoints.ravel().tolist(), **fields,
    }  # fmt: skip


def people(points: np.ndarray, labelled: np.ndarray) -> Persons:
    """Persons of an area, whose boxes do not matter."""
    number = len(points)
    areas = np.full(number, SIDE**2)
    return Persons(tuple(NAMES), points, labelled, np.zeros((number, 4)), areas=areas)


def detection(points: np.ndarray, image: int = 1, score: float = 0.9) -> dict:
    keypoints = np.column_stack([points, np.ones(len(points))])
    return {
        'image_id': image, 'category_id': 1, 'score': score, 'keypoints': keypoints.ravel().tolist()
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """A function that writes persons and detections and returns both files."""

    def write(persons: list[dict], detections) -> tuple[str, str]:
        images = sorted({1, *(ann['image_id'] for ann in persons)})
        coco = {
            'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in images],
            'annotations': persons,
            'categories': [{'id': 1, 'name': 'person'}],
        }
        paths = tmp_path / 'persons.json', tmp_path / 'results.json'
        paths[0].write_text(json.dumps(coco))
        paths[1].write_text(json.dumps(detections))
        return str(paths[0]), str(paths[1])

    return write


def stock(annotations: str, results: str, iou_type='keypoints', sigmas=None, use_area=True):
    """The evaluator, run as CocoMetric does."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(annotations)
        evaluator = COCOeval(coco, coco.loadRes(results), iou_type, sigmas, use_area)
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def stock_ap(*args, **options) -> np.ndarray:
    """AP by OKS threshold."""
    precision = stock(*args, **options).eval['precision']
    return precision[:, :, 0, 0, 0].mean(axis=1)


def moved(*changes: tuple[int, tuple[float, float]]) -> np.ndarray:
    points = BODY.copy()
    for k, place in changes:
        points[k] = place
    return points


CASES = {
    'all right': ([], []),
    'a wrist within the human margin': (
        [(LEFT_WRIST, BODY[LEFT_WRIST] + (0, distance(9, 0.86)))], [],
    ),
    'a jittered wrist': (
        [(LEFT_WRIST, BODY[LEFT_WRIST] + (0, distance(9, 0.84)))], [(LEFT_WRIST, 'jitter')],
    ),
    'a wrist just within reach': (
        [(LEFT_WRIST, BODY[LEFT_WRIST] - (distance(9, 0.51), 0))], [(LEFT_WRIST, 'jitter')],
    ),
    'left and right exchanged': (
        [(LEFT_KNEE, BODY[RIGHT_KNEE]), (RIGHT_KNEE, BODY[LEFT_KNEE] + (distance(13, 0.51), 0))],
        [(LEFT_KNEE, 'inversion'), (RIGHT_KNEE, 'inversion')],
    ),
    "a neighbor's ankle": (
        [(RIGHT_ANKLE, NEIGHBOUR[RIGHT_ANKLE] + (0, distance(16, 0.6)))], [(RIGHT_ANKLE, 'swap')],
    ),
    "a neighbor's other ankle": (
        [(RIGHT_ANKLE, NEIGHBOUR[FLIP[RIGHT_ANKLE]])], [(RIGHT_ANKLE, 'swap')],
    ),
    'a lost knee': (
        [(LEFT_KNEE, BODY[LEFT_KNEE] + (distance(13, 0.49), 0))], [(LEFT_KNEE, 'miss')],
    ),
    'a part that is not alike': ([(LEFT_ELBOW, BODY[NOSE])], [(LEFT_ELBOW, 'miss')]),
    "a neighbor's part that is not alike": (
        [(LEFT_ELBOW, NEIGHBOUR[LEFT_KNEE])], [(LEFT_ELBOW, 'miss')],
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', CASES)
def test_each_kind_by_hand(case, write):
    changes, wrong = CASES[case]
    persons = [person(1, BODY), person(2, NEIGHBOUR)]
    results = diagnose(*write(persons, [detection(moved(*changes)), detection(NEIGHBOUR)]))
    assert (results['persons'], results['matched'], results['keypoints']) == (2, 2, 34)
    expected = dict(wrong)
    for k, name in enumerate(NAMES):  # of two persons, one is right
        shares = results['by_keypoint'][name]['shares']
        assert shares == {
            kind: 0.5 * (kind == 'good') + 0.5 * (kind == expected.get(k, 'good')) for kind in KINDS
        }
    for kind in ERRORS:
        assert results['shares'][kind] == pytest.approx([*expected.values()].count(kind) / 34)


def near(k: int, *weighted: tuple[np.ndarray, float]) -> np.ndarray:
    """A point on the line between two places, with these similarities to keypoint k there."""
    (a, ks), (b, other) = weighted
    steps = distance(k, ks), distance(k, other)
    assert np.linalg.norm(a - b) == pytest.approx(sum(steps))
    return a + (b - a) * steps[0] / sum(steps)


@pytest.mark.parametrize(
    'own, mirrored, kind',
    [(0.8, 0.9, 'inversion'), (0.9, 0.8, 'good'), (0.7, 0.6, 'jitter'), (0.88, 0.88, 'good')],
)
def test_the_nearest_decides_and_the_own_of_equals(own, mirrored, kind):
    points = BODY.copy()
    points[RIGHT_KNEE] = points[LEFT_KNEE] + (distance(13, own) + distance(13, mirrored), 0)
    persons = people(points[None], np.ones((1, 17), bool))
    found = points.copy()
    found[LEFT_KNEE] = near(13, (points[LEFT_KNEE], own), (points[RIGHT_KNEE], mirrored))
    if own == mirrored:  # exactly halfway, in whatever the rounding makes of it
        found[LEFT_KNEE] = (points[LEFT_KNEE] + points[RIGHT_KNEE]) / 2
    kinds, _ = classify(found[None], np.array([0]), persons, SIGMAS, FLIP)
    assert KINDS[kinds[0, LEFT_KNEE]] == kind
    assert (np.delete(kinds[0], LEFT_KNEE) == 0).all()


def test_what_is_not_annotated_is_not_judged_and_draws_nothing():
    labelled = np.ones((2, 17), bool)
    labelled[0, [LEFT_WRIST, RIGHT_KNEE]] = labelled[1, RIGHT_ANKLE] = False
    points = np.stack([BODY, NEIGHBOUR])
    persons = people(points, labelled)
    found = moved((LEFT_KNEE, BODY[RIGHT_KNEE]), (RIGHT_ANKLE, NEIGHBOUR[RIGHT_ANKLE]))
    kinds, corrected = classify(found[None], np.array([0]), persons, SIGMAS, FLIP)
    assert (kinds[0, [LEFT_WRIST, RIGHT_KNEE]] == UNKNOWN).all()
    assert [KINDS[kinds[0, k]] for k in (LEFT_KNEE, RIGHT_ANKLE)] == ['miss', 'miss']
    assert (corrected[0, kinds[0] <= 0] == found[kinds[0] <= 0]).all()


# eight of 17 keypoints wrong, the others exact: OKS 9/17 = 0.529, which passes 0.5 alone, AP 0.1
WRONG = [5, 6, 7, 8, 13, 14, 15, 16]


@pytest.mark.parametrize(
    'kind, ks, ap',
    [
        ('miss', None, 0.6),  # each comes to 0.5: OKS 13/17 = 0.765, six thresholds
        ('inversion', 0.6, 0.7),  # each keeps 0.6: 13.8/17 = 0.812
        ('inversion', 0.9, 1.0),  # 16.2/17 = 0.953
        ('swap', 0.6, 0.7),
    ],
)
def test_the_gain_by_hand(kind, ks, ap, write):
    points = BODY.copy()
    for k in WRONG:
        if kind == 'miss':
            points[k] += (90, 0)
        elif kind == 'inversion':
            points[k] = BODY[FLIP[k]] + (distance(k, ks), 0)
        else:  # the neighbor is half the size, so the same similarity is half as far
            points[k] = NEIGHBOUR[k] + (distance(k, ks, SIDE / 2), 0)
    persons = [person(1, BODY), person(2, NEIGHBOUR, area=(SIDE / 2) ** 2)]
    results = diagnose(*write(persons, [detection(points, score=0.8), detection(NEIGHBOUR)]))
    # the other person, found first, gives recall up to a half, and with it the precision 1 of
    # 51 of 101 points at any threshold
    sure = 51 / 101
    assert results['AP'] == pytest.approx(sure + 0.1 * (1 - sure))
    gain = (ap - 0.1) * (1 - sure)
    expected = {error: gain if error in (kind, 'all') else 0 for error in (*ERRORS, 'all')}
    assert results['AP_gain'] == pytest.approx(expected)


def test_jitters_come_to_the_human_margin_and_all_errors_together(write):
    jittered = np.array([[distance(k, 0.62), 0] for k in range(17)])
    persons = [person(1, BODY)]
    results = diagnose(*write(persons, [detection(BODY + jittered)]))
    # from 0.62 to 0.85, which passes the threshold 0.85
    assert results['AP_by_oks'] == pytest.approx([1] * 3 + [0] * 7)
    assert results['AP_gain_by_oks']['jitter'] == pytest.approx([0] * 3 + [1] * 5 + [0] * 2)

    jittered[WRONG[:4]] = 90, 0  # four misses, 13 jitters: (13 × 0.62 + 4 × ~0) / 17 = 0.474
    results = diagnose(*write(persons, [detection(BODY + jittered)]))
    assert results['AP'] == 0
    # (13 × 0.85) / 17 = 0.65, (13 × 0.62 + 4 × 0.5) / 17 = 0.592, (13 × 0.85 + 2) / 17 = 0.768
    gains = results['AP_gain']
    assert (gains['jitter'], gains['miss']) == pytest.approx((0.4, 0.2))
    assert gains['all'] == pytest.approx(0.6)


def crowded(seed: int) -> tuple[list[dict], list[dict]]:
    """Images with persons near each other, some hidden, unlabelled or a crowd, and bad results."""
    rng = np.random.default_rng(seed)
    persons, detections = [], []
    for image in range(1, 13):
        bodies = BODY / 4 + rng.uniform(0, 200, (rng.integers(0, 5), 1, 2))
        bodies += rng.normal(0, 6, bodies.shape)
        for body in bodies:
            labelled = rng.random(17) < (0.8 if rng.random() < 0.85 else 0)
            fields = dict(area=rng.uniform(40, 120) ** 2, iscrowd=int(rng.random() < 0.1))
            persons.append(person(len(persons) + 1, body, image, labelled, **fields))
            for _ in range(rng.integers(0, 3)):
                places = body.copy()
                some = rng.random(17) < 0.15
                places[some] = body[FLIP[some]]
                some = rng.random(17) < 0.15
                places[some] = rng.choice(bodies)[some]
                places[rng.random(17) < 0.1] += 60
                places += rng.normal(0, rng.uniform(1, 6), places.shape)
                detections.append(detection(places, image, rng.random()))
    for _ in range(25):  # the evaluator takes 20 of an image
        detections.append(detection(BODY / 4 + rng.uniform(0, 500, 2), 1, rng.random()))
    detections[3]['keypoints'][2::3] = [0] * 17  # dropped by the evaluator
    return persons, detections


def slow_reference(annotations: str, results: str) -> tuple[list[dict], list[list[str]]]:
    """Corrected copies of all detections and the kinds of their keypoints, one by one."""
    matcher = stock(annotations, results)
    matcher.params.iouThrs = [0.1]
    matcher.params.areaRng = matcher.params.areaRng[:1]
    with contextlib.redirect_stdout(io.StringIO()):
        matcher.evaluate()
    detections = json.loads(Path(results).read_text())
    kinds = [['unknown'] * 17 for _ in detections]
    for image in matcher.evalImgs:
        if image is None:
            continue
        pairs = zip(image['dtIds'], image['dtMatches'][0], image['dtIgnore'][0], strict=True)
        for dt, gt, ignored in pairs:
            if gt == -1 or ignored:
                continue
            owner = matcher.cocoGt.anns[gt]
            for k in range(17):
                x, y, v = owner['keypoints'][3 * k : 3 * k + 3]
                if v == 0:
                    continue
                place = detections[dt - 1]['keypoints'][3 * k : 3 * k + 2]
                candidates = []
                for other in matcher.cocoGt.imgToAnns[image['image_id']]:
                    for j in {k, int(FLIP[k])}:
                        u, w, seen = other['keypoints'][3 * j : 3 * j + 3]
                        if seen:
                            squares = (place[0] - u) ** 2 + (place[1] - w) ** 2
                            ks = math.exp(-squares / (2 * other['area'] * (2 * SIGMAS[j]) ** 2))
                            candidates.append((ks, other['id'] == gt, j == k))
                ks, mine, same = max(candidates)
                if ks < 0.5:
                    kind, target = 'miss', 0.5
                elif not mine:
                    kind, target = 'swap', ks
                elif not same:
                    kind, target = 'inversion', ks
                elif ks < 0.85:
                    kind, target = 'jitter', 0.85
                else:
                    kind, target = 'good', ks
                kinds[dt - 1][k] = kind
                if kind != 'good':
                    # any direction has the same similarity
                    step = distance(k, min(target + 1e-9, 1), math.sqrt(owner['area']))
                    detections[dt - 1]['keypoints'][3 * k : 3 * k + 2] = [x, y + step]
    return detections, kinds


@pytest.mark.parametrize('seed', range(3))
def test_against_a_slow_reference_and_the_stock_evaluator(seed, write, tmp_path):
    persons, detections = crowded(seed)
    paths = write(persons, detections)
    results = diagnose(*paths)
    baseline = stock_ap(*paths)
    np.testing.assert_allclose(results['AP_by_oks'], baseline, atol=1e-12)
    assert results['AP'] == pytest.approx(baseline.mean(), abs=1e-12)
    assert results['evaluated'] < results['detections'] == len(detections)

    corrected, kinds = slow_reference(*paths)
    flat = [kind for row in kinds for kind in row if kind != 'unknown']
    assert results['keypoints'] == len(flat)
    assert min(flat.count(kind) for kind in KINDS) > 3  # each kind is tried
    for kind in KINDS:
        assert results['shares'][kind] == pytest.approx(flat.count(kind) / len(flat))
    for k, name in enumerate(NAMES):
        column = [row[k] for row in kinds if row[k] != 'unknown']
        assert results['by_keypoint'][name]['keypoints'] == len(column)
        shares = results['by_keypoint'][name]['shares']
        assert shares == pytest.approx({kind: column.count(kind) / len(column) for kind in KINDS})

    for error in (*ERRORS, 'all'):
        wanted = ERRORS if error == 'all' else (error,)
        changed = json.loads(json.dumps(detections))
        for n, row in enumerate(kinds):
            for k, kind in enumerate(row):
                if kind in wanted:
                    changed[n]['keypoints'][3 * k : 3 * k + 2] = corrected[n]['keypoints'][
                        3 * k : 3 * k + 2
                    ]
        other = tmp_path / 'corrected.json'
        other.write_text(json.dumps(changed))
        gain = stock_ap(paths[0], str(other)) - baseline
        np.testing.assert_allclose(results['AP_gain_by_oks'][error], gain, atol=1e-12)
        assert results['AP_gain'][error] == pytest.approx(gain.mean(), abs=1e-12)


def test_perfect_and_hopeless_results(write):
    persons = [person(1, BODY), person(2, NEIGHBOUR)]
    perfect = diagnose(*write(persons, [detection(BODY), detection(NEIGHBOUR)]))
    assert perfect['AP'] == pytest.approx(1)
    assert perfect['shares'] == {'good': 1, 'jitter': 0, 'inversion': 0, 'swap': 0, 'miss': 0}
    assert set(perfect['AP_gain'].values()) == {0}
    assert np.array(perfect['precision']).shape == (10, 101) and len(perfect['recall']) == 101

    hopeless = diagnose(*write(persons, [detection(BODY + 5000)]))
    assert (hopeless['AP'], hopeless['matched'], hopeless['keypoints']) == (0, 0, 0)
    assert hopeless['shares'] == dict.fromkeys(KINDS)
    for results in (perfect, hopeless):
        assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_annotations_are_read_once_for_several_results(write):
    paths = write([person(1, BODY)], [detection(BODY)])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(paths[0])
    assert diagnose(coco, paths[1]) == diagnose(coco, paths[1]) == diagnose(*paths)


def test_long_evaluations_show_how_far_they_are_and_the_coco_tools_stay_silent(
    write, monkeypatch, capsys
):
    monkeypatch.setattr('hsjp_mm.utils.progress.SECONDS', 0)
    diagnose(*write([person(1, BODY)], [detection(BODY)]))
    said = capsys.readouterr()
    assert [line.split(', ')[0] for line in said.err.splitlines()] == [
        f'{n} of 5 kinds of error corrected' for n in range(1, 6)
    ]
    assert said.out == ''


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_real_persons_against_the_stock_evaluator(tmp_path):
    annotations = str(SHARED / 'coco_mini/annotations/person_keypoints_val2017.json')
    rng = np.random.default_rng(0)
    detections = []
    for ann in json.loads(Path(annotations).read_text())['annotations']:
        if not ann['num_keypoints']:
            continue
        points = np.array(ann['keypoints'], float).reshape(17, 3)[:, :2]
        points += rng.normal(0, 1, (17, 2)) * SIGMAS[:, None] * math.sqrt(ann['area'])
        detections.append(detection(points, ann['image_id'], rng.random()))
    results = tmp_path / 'results.json'
    results.write_text(json.dumps(detections))
    diagnosis = diagnose(annotations, results)
    np.testing.assert_allclose(
        diagnosis['AP_by_oks'], stock_ap(annotations, str(results)), atol=1e-12
    )
    assert 0.6 < diagnosis['AP'] < 0.95
    # a deviation of half a spread in each direction: ks is the fourth root of a uniform number
    assert diagnosis['shares']['good'] == pytest.approx(1 - 0.85**4, abs=0.06)


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_another_keypoint_set_without_areas(tmp_path):
    annotations = str(SHARED / 'crowdpose/test_crowdpose.json')
    metainfo = 'configs/_base_/datasets/crowdpose.py'
    sigmas = parse_pose_metainfo(dict(from_file=metainfo))['sigmas']
    rng = np.random.default_rng(0)
    detections = []
    for ann in json.loads(Path(annotations).read_text())['annotations']:
        points = np.array(ann['keypoints'], float).reshape(14, 3)[:, :2]
        points += rng.normal(0, 0.03, (14, 2)) * math.sqrt(ann['bbox'][2] * ann['bbox'][3])
        points[[8, 9]] = points[[9, 8]]  # the knees
        detections.append(detection(points, ann['image_id'], rng.random()))
    results = tmp_path / 'results.json'
    results.write_text(json.dumps(detections))
    crowd = dict(iou_type='keypoints_crowd', use_area=False)
    diagnosis = diagnose(annotations, results, metainfo, **crowd)
    ap = stock_ap(annotations, str(results), sigmas=sigmas, **crowd)
    np.testing.assert_allclose(diagnosis['AP_by_oks'], ap, atol=1e-12)
    assert len(diagnosis['by_keypoint']) == 14
    knee, neck = (diagnosis['by_keypoint'][name]['shares'] for name in ('left_knee', 'neck'))
    assert knee['inversion'] > 0.5 and neck['inversion'] == 0
    with pytest.raises(ValueError, match=r"no 'area', .*; use_area=False"):
        diagnose(annotations, results, metainfo)


GOOD = detection(BODY)


@pytest.mark.parametrize(
    'detections, message',
    [
        ([], 'is empty'),
        ({'images': []}, 'must be a list of detections'),
        ([GOOD, {**GOOD, 'image_id': 77}], '1 image_id that the annotations do not have.* 77'),
        ([{**GOOD, 'category_id': 2}], '1 category_id that the annotations do not have'),
        ([GOOD, {k: v for k, v in GOOD.items() if k != 'score'}], r"\[1\]: has no 'score'"),
        ([{**GOOD, 'score': None}], r'\[0\]: score=None must be a finite number'),
        ([{**GOOD, 'score': [1, 2]}], r'\[0\]: score=\[1, 2\] must be a finite number'),
        ([{**GOOD, 'keypoints': [1.0] * 42}], r'x, y and visibility .* shape \(51,\)'),
        ([{**GOOD, 'keypoints': BODY.tolist()}], r'keypoints=\[\[.* shape \(51,\)'),
        ([{**GOOD, 'keypoints': ['a'] * 51}], r"keypoints=\['a', .* finite numbers"),
        ([{**GOOD, 'keypoints': [math.nan] * 51}], r'keypoints=\[nan, .* finite numbers'),
        ([{**GOOD, 'image_id': None}], 'image_id=None must be the id of an image'),
        (['x'], r'\[0\] must be a dictionary, not str'),
    ],
)
def test_bad_results(detections, message, write):
    with pytest.raises(ValueError, match=message):
        diagnose(*write([person(1, BODY)], detections))


@pytest.mark.parametrize(
    'fields, message',
    [
        (
            dict(keypoints=[1.0] * 42),
            'metainfo: it names 17 keypoints, but the annotations have 14',
        ),
        (dict(bbox=[math.nan] * 4), r'annotations, id 1: bbox=\[nan, .* four finite numbers'),
        (dict(area='9'), "id 1: area='9' must be a finite number of square pixels"),
        (dict(keypoints=[0] * 51), 'nobody has keypoints'),
        (dict(keypoints=None), r"no 'keypoints'.*: is it a file for detection\?"),
    ],
)
def test_bad_annotations(fields, message, write):
    ann = {k: v for k, v in person(1, BODY, **fields).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        diagnose(*write([ann], [GOOD]))


def test_results_in_a_dictionary_without_a_category_and_with_ids_as_texts(write):
    bare = {k: v for k, v in GOOD.items() if k != 'category_id'}
    wrapped = {'detections': [{**bare, 'image_id': '1'}]}
    annotations, results = write([person('1', BODY, image=1.0)], wrapped)
    assert diagnose(annotations, results)['AP'] == pytest.approx(1)


def test_two_persons_of_one_id(write):
    two = [person(1, BODY), person(1, NEIGHBOUR)]
    with pytest.raises(ValueError, match=r"annotations='.*': annotations, id 1: two different"):
        diagnose(*write(two, [GOOD]))


def test_bad_files_and_options(write, tmp_path):
    annotations, results = write([person(1, BODY)], [GOOD])
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        diagnose(annotations, 'nowhere.json')
    with pytest.raises(
        ValueError, match=r"annotations='.*' must be in COCO format, .* it holds list"
    ):
        diagnose(results, results)
    (tmp_path / 'broken.json').write_text('[{')
    with pytest.raises(ValueError, match=r"results='.*broken\.json' is no JSON"):
        diagnose(annotations, tmp_path / 'broken.json')
    with pytest.raises(ValueError, match="iou_type='bbox' must be one of keypoints"):
        diagnose(annotations, results, iou_type='bbox')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        diagnose(annotations, results, 'nowhere.py')
    (tmp_path / 'empty.py').write_text('x = 1')
    with pytest.raises(ValueError, match='is no file of a keypoint set'):
        diagnose(annotations, results, str(tmp_path / 'empty.py'))
