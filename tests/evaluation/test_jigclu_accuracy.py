import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.evaluation import JigCluAccuracy
from hsjp_mm.ops.regrouping import (
    feature_std,
    group,
    put_together,
    restored,
    restored_chance,
    retrieval_chance,
    retrieved,
)

# ------------------------------------------------------------------------------------ retrieval


def slow_retrieved(vectors: list, images: list[int]) -> list[bool]:
    found = []
    for i, a in enumerate(vectors):
        nearest, best = -1, -math.inf
        for j, b in enumerate(vectors):
            cosine = sum(x * y for x, y in zip(a, b, strict=True))
            if j != i and cosine > best:
                nearest, best = j, cosine
        found.append(images[nearest] == images[i])
    return found


def test_retrieved_against_a_slow_loop():
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(36, 5, dtype=torch.float64), dim=1)
    images = (torch.arange(36) // 4)[torch.randperm(36)]
    vectors = F.normalize(vectors + F.one_hot(images, 9)[:, :5], dim=1)
    expected = slow_retrieved(vectors.tolist(), images.tolist())
    assert 5 < sum(expected) < 31
    assert retrieved(vectors, vectors, images).tolist() == expected
    parts = [retrieved(vectors[i:j], vectors, images, i) for i, j in ((0, 3), (3, 20), (20, 36))]
    assert torch.cat(parts).tolist() == expected


@pytest.mark.parametrize(('number', 'patches'), [(2, 4), (5, 4), (64, 2)])
def test_a_collapsed_network_retrieves_at_chance(number, patches):
    vectors = torch.tensor([[0.6, 0.8]]).repeat(number * patches, 1)
    found = retrieved(vectors, vectors, torch.arange(number * patches) // patches)
    assert float(found.mean()) == pytest.approx(retrieval_chance(number, patches))


@pytest.mark.parametrize(('number', 'patches'), [(2, 4), (5, 4), (3, 9), (1, 4)])
def test_retrieval_chance_is_that_of_a_drawn_neighbor(number, patches):
    images = np.arange(number * patches) // patches
    hits = [
        images[i] == images[j]
        for i, j in itertools.permutations(range(number * patches), 2)
    ]  # fmt: skip
    assert retrieval_chance(number, patches) == pytest.approx(np.mean(hits), abs=1e-15)


def test_random_vectors_are_retrieved_at_chance():
    torch.manual_seed(0)
    images = torch.arange(12) // 4
    found = [
        retrieved(v, v, images) for v in F.normalize(torch.randn(1500, 12, 16), dim=2)
    ]  # fmt: skip
    assert torch.cat(found).float().mean() == pytest.approx(retrieval_chance(3, 4), abs=0.012)


# ----------------------------------------------------------------------------------- regrouping


def clusters(number: int, size: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around orthogonal ones, in random order, and their clusters."""
    rng = np.random.RandomState(seed)
    images = rng.permutation(np.arange(number * size) // size)
    vectors = np.eye(number)[images] + noise * rng.randn(number * size, number)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), images


def cosines_within(vectors: np.ndarray, groups: np.ndarray) -> float:
    """Sum of the cosines of the pairs in the same group."""
    same = groups[:, None] == groups[None]
    return float((vectors @ vectors.T)[same].sum())


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return ((a[:, None] == a[None]) == (b[:, None] == b[None])).all()


@pytest.mark.parametrize(('number', 'size'), [(1, 4), (2, 4), (16, 4), (10, 9), (6, 16)])
@pytest.mark.parametrize('seed', range(3))
def test_separate_clusters_are_found_in_any_order(number, size, seed):
    vectors, images = clusters(number, size, noise=0.05, seed=seed)
    groups = group(vectors, size)
    assert same_partition(groups, images)


@pytest.mark.parametrize('vectors', ['noise', 'equal', 'one cluster too large'])
def test_sizes_are_always_equal_and_the_groups_always_the_same(vectors):
    rows = {
        'noise': clusters(9, 4, noise=10)[0],
        'equal': np.tile(np.eye(1, 9), (36, 1)),
        'one cluster too large': np.eye(9)[np.minimum(np.arange(36) // 4, 6)],
    }[vectors]
    groups = group(rows, 4)
    assert np.bincount(groups).tolist() == [4] * 9
    assert (group(rows.copy(), 4) == groups).all()


def test_a_patch_too_many_of_one_cluster_goes_where_a_place_is_free():
    # five vectors at 0°, 10° … and three at 90°: the groups must be four and four
    degrees = np.radians([0, 4, 8, 12, 40, 88, 90, 92])
    rows = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    assert same_partition(group(rows, 4), np.array([0, 0, 0, 0, 1, 1, 1, 1]))


def test_rounds_never_make_the_groups_worse():
    better = 0
    for seed in range(20):
        vectors, _ = clusters(8, 4, noise=0.6, seed=seed)
        course = [cosines_within(vectors, group(vectors, 4, rounds=r)) for r in range(1, 11)]
        assert (np.diff(course) > -1e-9).all()
        better += course[-1] > course[0] + 1e-6
    assert better >= 2


def test_noisy_clusters_are_grouped_as_well_as_the_truth():
    for seed in range(10):
        vectors, images = clusters(12, 4, noise=0.15, seed=seed)
        found = cosines_within(vectors, group(vectors, 4))
        assert found > 0.999 * cosines_within(vectors, images)


# ------------------------------------------------------------------------------------- restored


def solved(number: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors and logits that solve the puzzle, in random order, and the sources."""
    sources = np.random.RandomState(seed).permutation(number * size)
    return np.eye(number)[sources // size], np.eye(size)[sources % size], sources


@pytest.mark.parametrize(('number', 'size'), [(1, 4), (5, 4), (4, 9)])
def test_all_are_restored_if_all_is_right(number, size):
    vectors, logits, sources = solved(number, size)
    found = put_together(vectors, logits)
    assert sorted(found.ravel()) == list(range(number * size))
    assert restored(found, sources).tolist() == [True] * number
    images = sources[found] // size
    assert (images == images[:, :1]).all()
    assert (sources[found] % size == np.arange(size)).all()


def test_locations_are_assigned_and_not_only_the_highest():
    # all four of an image prefer place 2, but by how much tells them apart
    vectors, _, sources = solved(3, 4)
    preference = np.array([[3.0, 0, 9, 0], [0, 3, 9, 0], [0, 0, 9, 0], [0, 0, 9, 3]])
    found = put_together(vectors, preference[sources % 4])
    assert restored(found, sources).all()


def test_two_locations_exchanged_spoil_their_image_only():
    vectors, logits, sources = solved(4, 4)
    a, b = (int(np.flatnonzero(sources == 4 * 2 + place)[0]) for place in (0, 3))
    logits[[a, b]] = logits[[b, a]]
    found = put_together(vectors, logits)
    whole = restored(found, sources)
    assert whole.sum() == 3
    spoilt = sources[found[~whole]][0]
    assert spoilt.tolist() == [11, 9, 10, 8]


def test_two_patches_exchanged_between_images_spoil_both():
    vectors, logits, sources = solved(4, 4)
    a, b = (int(np.flatnonzero(sources == s)[0]) for s in (4 * 1 + 2, 4 * 3 + 2))
    vectors[[a, b]] = vectors[[b, a]]
    found = put_together(vectors, logits)
    whole = restored(found, sources)
    assert whole.sum() == 2
    assert sorted(map(tuple, sources[found[~whole]])) == [(4, 5, 14, 7), (12, 13, 6, 15)]


def test_an_image_is_not_restored_by_the_end_of_one_and_the_start_of_the_next():
    found = np.array([[2, 3, 4, 5], [6, 7, 0, 1]])
    assert not restored(found, np.arange(8)).any()


@pytest.mark.parametrize(('number', 'size'), [(2, 2), (3, 2), (2, 3), (1, 4)])
def test_restored_chance_is_that_of_all_arrangements(number, size):
    sources = np.arange(number * size)
    shares = [
        restored(np.array(found).reshape(number, size), sources).mean()
        for found in itertools.permutations(range(number * size))
    ]
    assert restored_chance(number, size) == pytest.approx(np.mean(shares), rel=1e-12)


def test_restored_chance_of_a_large_batch_is_next_to_nothing():
    assert 0 <= restored_chance(256, 16) < 1e-30


# ------------------------------------------------------------------------------------- collapse


def test_feature_std_of_collapsed_and_of_spread_vectors():
    torch.manual_seed(0)
    one = F.normalize(torch.randn(1, 64), dim=1).expand(100, -1)
    assert feature_std(one) == pytest.approx(0, abs=1e-6)
    spread = F.normalize(torch.randn(1000, 64), dim=1)
    assert feature_std(spread) == pytest.approx(1, abs=0.02)
    narrow = F.normalize(one + 0.1 * spread[:100], dim=1)
    assert 0.05 < feature_std(narrow) < 0.15
    two = torch.tensor([[1.0, 0], [0, 1]])  # a standard deviation of 1/2 in both channels
    assert feature_std(two) == pytest.approx(0.5 * math.sqrt(2))


# --------------------------------------------------------------------------------------- metric


def evaluate(embeddings: torch.Tensor, logits: torch.Tensor | None, batches: list[int]) -> dict:
    """Measure images (n, K, C) and (n, K, K), so many a batch."""
    metric = JigCluAccuracy()
    samples = []
    for i in range(len(embeddings)):
        found = {'patch_embeddings': embeddings[i : i + 1]}
        if logits is not None:
            found['patch_logits'] = logits[i : i + 1]
        samples.append({'pred_instances': found})
    for batch in batches:
        metric.process({}, samples[:batch])
        samples = samples[batch:]
    assert not samples
    return metric.evaluate(len(embeddings))


def test_the_metric_averages_over_images_and_not_over_batches():
    torch.manual_seed(0)
    right = F.normalize(torch.eye(4)[:, None] + 0.01 * torch.randn(4, 4, 4), dim=2)
    # the last batch: two images of which every patch is next to one of the other image
    pairs = torch.eye(4)[None].expand(2, 4, 4)
    logits = torch.eye(4).expand(6, 4, 4).clone()
    logits[5, [0, 1]] = logits[5, [1, 0]]
    values = evaluate(torch.cat([right, pairs]), logits, [4, 2])
    assert values['jigclu/retrieval'] == pytest.approx(4 / 6)
    assert values['jigclu/retrieval_chance'] == pytest.approx((4 * 3 / 15 + 2 * 3 / 7) / 6)
    assert values['jigclu/location'] == pytest.approx(22 / 24)
    assert values['jigclu/location_chance'] == 0.25
    assert values['jigclu/restored'] == pytest.approx(4 / 6)
    chance = (4 * restored_chance(4, 4) + 2 * restored_chance(2, 4)) / 6
    assert values['jigclu/restored_chance'] == pytest.approx(chance)
    stds = [feature_std(right.flatten(0, 1)), feature_std(pairs.flatten(0, 1))]
    assert values['jigclu/feature_std'] == pytest.approx((4 * stds[0] + 2 * stds[1]).item() / 6)


def test_location_chance_by_random_logits():
    torch.manual_seed(0)
    embeddings = F.normalize(torch.randn(400, 9, 8), dim=2)
    values = evaluate(embeddings, torch.randn(400, 9, 9), [40] * 10)
    assert values['jigclu/location'] == pytest.approx(1 / 9, abs=0.02)
    assert values['jigclu/location_chance'] == pytest.approx(1 / 9)
    assert values['jigclu/retrieval'] == pytest.approx(
        values['jigclu/retrieval_chance'], abs=0.01
    )  # fmt: skip


def test_a_head_without_location_branch_has_neither_location_nor_restored():
    torch.manual_seed(0)
    values = evaluate(F.normalize(torch.randn(4, 4, 8), dim=2), None, [2, 2])
    assert values.keys() == {
        f'jigclu/{name}' for name in ('retrieval', 'retrieval_chance', 'feature_std')
    }


def test_a_collapsed_network_restores_nothing():
    """Its patches are all the same, and their order must not put them together."""
    one = F.normalize(torch.ones(1, 1, 8), dim=2).expand(8, 4, 8)
    values = evaluate(one, torch.zeros(8, 4, 4), [8])
    assert values['jigclu/restored'] == 0
    assert values['jigclu/location'] == 0.25
    assert values['jigclu/retrieval'] < 0.2
    assert values['jigclu/feature_std'] == pytest.approx(0, abs=1e-6)


def test_a_last_batch_of_one_image_counts_with_a_chance_of_one():
    torch.manual_seed(0)
    embeddings = F.normalize(torch.randn(3, 4, 8), dim=2)
    values = evaluate(embeddings, torch.eye(4).expand(3, 4, 4), [2, 1])
    assert values['jigclu/retrieval_chance'] == pytest.approx((2 * 3 / 7 + 1) / 3)
    assert values['jigclu/restored_chance'] == pytest.approx(
        (2 * restored_chance(2, 4) + 1 / 24) / 3
    )
