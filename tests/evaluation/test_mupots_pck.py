"""3DPCK on MuPoTS-3D, against a slow port of its rules and by hand."""

import numpy as np
import pytest
import torch

from hsjp_mm.evaluation import MupotsPCK
from hsjp_mm.evaluation.mupots_pck import NAMES, ROOT, _image_keypoints, match, with_bones_of
from hsjp_mm.ops.keypoint_orders import joint_names

PARENTS = [2, 16, 2, 3, 4, 2, 6, 7, 15, 9, 10, 15, 12, 13, 15, 15, 2]  # counted from 1
ORDER = [15, 16, 2, 1, 17, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
CAMERA = np.array([1500.0, 1480.0, 1024.0, 1000.0])


def slow_bones(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """One pose (17, 3), by the published tables of parents and of the order."""
    scaled = np.zeros_like(found)
    for joint in (number - 1 for number in ORDER):
        parent = PARENTS[joint] - 1
        if joint == parent:
            scaled[joint] = found[joint]
            continue
        bone = found[joint] - found[parent]
        wanted = np.linalg.norm(truth[joint] - truth[parent])
        scaled[joint] = scaled[parent] + bone / np.linalg.norm(bone) * wanted
    return scaled


def pixels(points: np.ndarray) -> np.ndarray:
    return points[:, :2] / points[:, 2:] * CAMERA[:2] + CAMERA[2:]


def slow_scores(persons: list[dict]) -> dict[str, float]:
    """Everything by loops over sequences, pictures, persons, joints and limits."""
    shares: dict[str, list] = {}
    for sequence in sorted({person['sequence'] for person in persons}):
        errors = {key: [] for key in ('all', 'matched', 'all_unscaled', 'matched_unscaled')}
        mine = [person for person in persons if person['sequence'] == sequence]
        for image in sorted({person['img_path'] for person in mine}):
            group = [person for person in mine if person['img_path'] == image]
            free = list(range(len(group)))
            for person in group:
                votes = {}
                for other in free:
                    placed = group[other]['found'] + group[other]['truth'][14]
                    off = np.abs(pixels(placed) - person['pixels'])
                    votes[other] = sum(bool((off[j] < 40).all()) for j in range(1, 14))
                best = max(votes, key=lambda k: (votes[k], -k)) if votes else None
                true = person['truth'] - person['truth'][14]
                if best is None or votes[best] == 0:
                    for key in ('all', 'all_unscaled'):
                        errors[key] += [1e5] * 14
                    continue
                free.remove(best)
                found = group[best]['found']
                for ending, pose in (('', slow_bones(found, true)), ('_unscaled', found)):
                    off = [1000 * np.linalg.norm(pose[j] - true[j]) for j in range(14)]
                    errors['all' + ending] += off
                    errors['matched' + ending] += off
        for key, values in errors.items():
            pck = np.mean([value < 150 for value in values])
            auc = np.mean([[value < t for value in values] for t in range(0, 151, 5)])
            shares.setdefault(f'mupots/PCK_{key}', []).append(100 * pck)
            shares.setdefault(f'mupots/AUC_{key}', []).append(100 * auc)
    return {key: float(np.mean(values)) for key, values in shares.items()}


def made_up_person(rng, number: int, sequence: str, image: str, noise: float) -> dict:
    truth = rng.normal(0, 0.4, (17, 3)) + np.array([rng.uniform(-2, 2), 0, rng.uniform(4, 6)])
    found = truth - truth[14] + rng.normal(0, noise, (17, 3))
    found -= found[14]
    return {
        'id': number, 'sequence': sequence, 'img_path': image, 'truth': truth, 'found': found,
        'pixels': pixels(truth) + rng.normal(0, 1, (17, 2)),
    }  # fmt: skip


def as_sample(person: dict, labelled=None, size=(250, 250)) -> dict:
    """With a crop of 500 pixels, whose half size the longer side of the input has."""
    crop = np.array([900.0, 800.0, 500.0])
    seen = (person['pixels'] - crop[:2]) / 2 + np.array(size) / 2
    labelled = np.ones(17) if labelled is None else labelled
    return {
        'id': person['id'], 'sequence': person['sequence'], 'img_path': person['img_path'],
        'joint_set': 'mupots_17', 'camera': CAMERA, 'crop': crop, 'input_size': size,
        'gt_instances': {
            'joints': person['truth'][None], 'joints_weight': np.ones((1, 17)),
            'keypoints': seen[None], 'keypoints_visible': labelled[None],
        },
        'pred_instances': {'joints': torch.from_numpy(person['found'][None] + 3)},
    }  # fmt: skip


def evaluate(samples: list[dict]) -> dict[str, float]:
    metric = MupotsPCK()
    metric.dataset_meta = {}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_the_published_table_of_bones():
    names = joint_names('mupots_17')
    rng = np.random.default_rng(0)
    found, truth = rng.normal(size=(2, 17, 3))
    scaled = with_bones_of(torch.from_numpy(found), torch.from_numpy(truth)).numpy()
    np.testing.assert_allclose(scaled, slow_bones(found, truth), atol=1e-12)
    np.testing.assert_array_equal(scaled[ROOT], found[ROOT])
    bone = [names.index('left_wrist'), names.index('left_elbow')]
    assert np.linalg.norm(np.subtract(*scaled[bone])) == pytest.approx(
        np.linalg.norm(np.subtract(*truth[bone]))
    )


def test_a_bone_of_no_length_stays_a_point():
    found = torch.zeros(17, 3)
    assert with_bones_of(found, torch.randn(17, 3)).eq(0).all()


@pytest.mark.parametrize('noise', [0.02, 0.1, 0.3])
def test_all_scores_are_those_of_the_slow_port(noise):
    rng = np.random.default_rng(int(100 * noise))
    persons = [
        made_up_person(rng, 10 * picture + k, f'TS{picture % 3 + 1}', f'{picture}.jpg', noise)
        for picture in range(9)
        for k in range(3)
    ]
    persons[4]['pixels'] += 5000  # nobody is near
    scores = evaluate([as_sample(person) for person in persons])
    expected = slow_scores(persons)
    assert set(scores) == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-9), name
    assert scores['mupots/PCK_all'] < scores['mupots/PCK_matched']


@pytest.mark.parametrize('size', [(250, 190), (190, 250)])
def test_inputs_need_not_be_square(size):
    """The person is at the edge of the crop, where a wrong scale would leave the 40 pixels."""
    person = made_up_person(np.random.default_rng(0), 1, 'TS1', 'a.jpg', 0)
    person['pixels'] += 2  # near, but not everywhere the same
    square, other = as_sample(person), as_sample(person, size=size)
    assert evaluate([other]) == evaluate([square])
    np.testing.assert_allclose(_image_keypoints(other).numpy(), person['pixels'], rtol=0, atol=1e-9)


def test_by_hand():
    """Two sequences: in one all is right, in the other one of the 14 joints is 200 mm off."""
    rng = np.random.default_rng(0)
    first, second = (made_up_person(rng, k, f'TS{k}', 'a.jpg', 0) for k in (1, 2))
    second['found'][NAMES.index('left_ankle')] += (0, 0, 0.2)  # at the end: no bone hangs on it
    scores = evaluate([as_sample(first), as_sample(second)])
    assert scores['mupots/PCK_all_unscaled'] == pytest.approx((100 + 100 * 13 / 14) / 2)
    assert scores['mupots/AUC_all_unscaled'] == pytest.approx((100 + 100 * 13 / 14) / 2 * 30 / 31)
    # what MuPoTS does not count
    second['found'] = second['truth'] - second['truth'][14]
    second['found'][NAMES.index('head')] += 1
    assert evaluate([as_sample(second)])['mupots/PCK_all_unscaled'] == 100


def test_persons_are_given_away_once_in_the_order_of_the_annotations():
    truth = torch.zeros(2, 17, 2)
    truth[1] += 30
    found = torch.stack([torch.full((17, 2), 10.0), torch.full((17, 2), 500.0)])
    assert match(found, truth) == [0, None]
    assert match(found.flip(0), truth) == [1, None]
    assert match(found[:0], truth) == [None, None]
    edge = torch.zeros(1, 17, 2)
    edge[..., 0] = 40  # not below 40
    assert match(edge, truth[:1]) == [None]


def test_the_root_and_the_head_speak_for_no_match():
    truth = torch.zeros(1, 17, 2)
    found = torch.full((1, 17, 2), 500.0)
    found[0, [0, 14, 15, 16]] = 0
    assert match(found, truth) == [None]
    found[0, 1] = 0
    assert match(found, truth) == [0]


def test_joints_that_are_not_labelled_speak_for_no_match():
    rng = np.random.default_rng(0)
    person = made_up_person(rng, 1, 'TS1', 'a.jpg', 0)
    assert evaluate([as_sample(person)])['mupots/PCK_all'] == 100
    assert evaluate([as_sample(person, np.zeros(17))])['mupots/PCK_all'] == 0


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.update(joint_set='common_14'), "joint_set='common_14' .* mupots_17"),
        (lambda s: s.update(camera=np.full(4, np.nan)), 'no known camera'),
        (lambda s: s['gt_instances']['joints'].__isub__(s['gt_instances']['joints'][:, 14:15]),
         'depth of 0.0 m'),
        (lambda s: s['gt_instances']['joints_weight'].fill(0), 'not labelled'),
        (lambda s: s['pred_instances']['joints'].fill_(torch.nan), 'not finite'),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(change, message):
    sample = as_sample(made_up_person(np.random.default_rng(0), 7, 'TS1', 'a.jpg', 0.1))
    change(sample)
    with pytest.raises(ValueError, match=message):
        evaluate([sample])
