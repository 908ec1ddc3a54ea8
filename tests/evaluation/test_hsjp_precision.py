import itertools

import numpy as np
import pytest
from mmengine.config import Config

from hsjp_mm.evaluation import HSJPPrecision
from tests.helpers import ROOT

SIZE = (224, 224)
CONFIG = 'configs/hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'


def places(grid: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Centers of the places (K, 2), (x, y), row by row."""
    width, height = size
    return np.array(
        [
            ((2 * column + 1) * width / (2 * grid), (2 * row + 1) * height / (2 * grid))
            for row in range(grid)
            for column in range(grid)
        ]
    )


def evaluate(pairs, size: tuple[int, int] = SIZE, **options) -> dict:
    """Measure pairs of true and predicted centers (K, 2), one a sample, two a batch."""
    metric = HSJPPrecision(**options)
    samples = [
        {
            'gt_instances': {'patch_centers': truth[None]},
            'pred_instances': {'patch_centers': found[None]},
            'input_size': size,
        }
        for truth, found in pairs
    ]
    for start in range(0, len(samples), 2):
        metric.process({}, samples[start : start + 2])
    return metric.evaluate(len(samples))


def moved(points: np.ndarray, index: int, by: tuple[float, float]) -> np.ndarray:
    points = points.copy()
    points[index] += by
    return points


def test_all_right():
    truth = places(3)[np.random.RandomState(0).permutation(9)]
    values = evaluate([(truth, truth)])
    assert values['hsjp/precision'] == values['hsjp/placed'] == 1
    assert values['hsjp/error'] == 0


def test_one_wrong_patch_spoils_its_image_only():
    truth = places(3)
    values = evaluate([(truth, truth), (truth, moved(truth, 4, (60, -80))), (truth, truth)])
    assert values['hsjp/precision'] == pytest.approx(2 / 3)
    assert values['hsjp/placed'] == pytest.approx(26 / 27)
    assert values['hsjp/error'] == pytest.approx(100 / 27)


def test_the_kept_checkpoint_is_the_better_one_before_a_puzzle_is_solved():
    config = Config.fromfile(ROOT / CONFIG)
    checkpoint = config.default_hooks.checkpoint
    truth = places(3)
    worse, better = truth[[1, 2, 3, 4, 5, 6, 7, 8, 0]], truth[[0, 1, 2, 3, 4, 6, 7, 8, 5]]
    first, second = (evaluate([(truth, found)]) for found in (worse, better))
    assert first['hsjp/precision'] == second['hsjp/precision'] == 0
    assert first[checkpoint.save_best] < second[checkpoint.save_best]
    assert checkpoint.rule == 'greater'


def test_all_wrong():
    truth = places(2)
    values = evaluate([(truth, truth[[1, 2, 3, 0]])])
    assert values['hsjp/precision'] == values['hsjp/placed'] == 0


@pytest.mark.parametrize(
    ('grid', 'options', 'epsilon'),
    [(2, {}, 56), (7, {}, 16), (3, {'epsilon': 10}, 10), (2, {'epsilon': 112.0}, 112)],
)
@pytest.mark.parametrize('direction', [(1, 0), (0, -1), (0.6, 0.8)])
def test_just_inside_and_just_outside_of_epsilon(grid, options, epsilon, direction):
    truth = places(grid)
    by = np.array(direction) * epsilon
    inside = evaluate([(truth, moved(truth, 1, by * 0.9999))], **options)
    outside = evaluate([(truth, moved(truth, 1, by * 1.0001))], **options)
    assert inside['hsjp/precision'] == inside['hsjp/placed'] == 1
    assert outside['hsjp/precision'] == 0
    assert outside['hsjp/placed'] == pytest.approx(1 - 1 / grid**2)


def test_a_distance_of_exactly_epsilon_is_outside():
    truth = places(2)
    assert evaluate([(truth, moved(truth, 0, (56, 0)))])['hsjp/placed'] == 0.75


def test_chance_levels_are_those_of_all_24_permutations():
    for size in (SIZE, (96, 64)):
        centers = places(2, size)
        guess = [(centers[list(slots)], centers) for slots in itertools.permutations(range(4))]
        values = evaluate(guess, size)
        assert values['hsjp/precision_chance'] == pytest.approx(1 / 24)
        assert values['hsjp/placed_chance'] == pytest.approx(1 / 4)
        for name in ('precision', 'placed', 'error'):
            assert values[f'hsjp/{name}'] == pytest.approx(values[f'hsjp/{name}_chance'])


def test_chance_of_a_finer_grid_against_random_permutations():
    centers = places(4)
    rng = np.random.RandomState(0)
    values = evaluate([(centers[rng.permutation(16)], centers) for _ in range(2000)])
    assert values['hsjp/placed_chance'] == 1 / 16
    assert values['hsjp/placed'] == pytest.approx(1 / 16, abs=0.005)
    assert values['hsjp/error_chance'] == pytest.approx(values['hsjp/error'], rel=0.01)


def test_the_shorter_side_gives_the_default_epsilon():
    truth = places(2, (96, 64))
    values = evaluate([(truth, moved(truth, 0, (17, 0)))], (96, 64))  # 16 = 64 / 2 / 2
    assert values['hsjp/placed'] == 0.75


def test_epsilon_above_the_patch_side_is_refused():
    truth = places(4)
    evaluate([(truth, truth)], epsilon=56)
    with pytest.raises(ValueError, match=r'epsilon=56\.1 .* at most a patch side, 56\.00'):
        evaluate([(truth, truth)], epsilon=56.1)


@pytest.mark.parametrize('epsilon', [0, -3])
def test_epsilon_must_be_positive(epsilon):
    with pytest.raises(ValueError, match=f'epsilon={epsilon} input pixels must be positive'):
        HSJPPrecision(epsilon=epsilon)
