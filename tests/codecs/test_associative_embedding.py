"""Decoding against a slow reference of the authors' grouping and against the stock decoder."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose import codecs
from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import KEYPOINT_CODECS, MODELS, TRANSFORMS
from mmpose.structures import PoseDataSample

from hsjp_mm.benchmarks.data import draw_maps
from hsjp_mm.codecs import AssociativeEmbedding, grouping, missing, reading
from tests.codecs.former_grouping import FormerEmbedding
from tests.codecs.plain_munkres import plain_munkres

COCO_ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


# ---- the reference: section 3.2 and Newell et al. in plain loops over pixels and persons


def slow_decode(heatmaps, tags, order, top=30, kernel=5, adjust=True, refine=True):
    """Decode heat maps (K, H, W) and tags (K, H, W, L) to keypoints (N, K, 2), scores and means."""
    persons = []  # each a dict: key, tags so far, joints {k: (x, y, score, tag)}
    for k in order:
        peaks = slow_peaks(heatmaps[k], tags[k], top, kernel // 2)
        known = persons[:top]
        owners = slow_owners(peaks, known)
        for (x, y, score, tag), owner in zip(peaks, owners, strict=True):
            if owner is None:
                person = next((p for p in persons if p['key'] == tag[0]), None)
                if person is None:
                    person = dict(key=tag[0], joints={})
                    persons.append(person)
                person['tags'] = [tag]
            else:
                person = known[owner]
                person['tags'].append(tag)
            person['joints'][k] = (x, y, score, tag)

    num_keypoints, height, width = heatmaps.shape
    keypoints = np.zeros((len(persons), num_keypoints, 2))
    scores = np.zeros((len(persons), num_keypoints))
    means = np.zeros(len(persons))
    for n, person in enumerate(persons):
        joints = {k: joint[:3] for k, joint in sorted(person['joints'].items())}
        means[n] = sum(joint[2] for joint in joints.values()) / num_keypoints
        mean = np.mean([person['joints'][k][3] for k in joints], axis=0)
        if refine:
            for k in set(range(num_keypoints)) - set(joints):
                distance = ((tags[k] - mean) ** 2).sum(axis=-1) ** 0.5
                y, x = divmod(int(np.argmax(heatmaps[k] - np.round(distance))), width)
                if heatmaps[k, y, x] > 0:
                    joints[k] = (x, y, heatmaps[k, y, x])
        for k, (x, y, score) in joints.items():
            scores[n, k] = score
            keypoints[n, k] = x + 0.5, y + 0.5
            if adjust:
                row, column = heatmaps[k, y], heatmaps[k, :, x]
                right = row[min(x + 1, width - 1)] > row[max(x - 1, 0)]
                below = column[min(y + 1, height - 1)] > column[max(y - 1, 0)]
                keypoints[n, k] += 0.25 if right else -0.25, 0.25 if below else -0.25
    return keypoints, scores, means


def slow_peaks(heatmap, tags, top, reach):
    height, width = heatmap.shape
    peaks = []
    for y in range(height):
        for x in range(width):
            rows = slice(max(y - reach, 0), y + reach + 1)
            window = heatmap[rows, max(x - reach, 0) : x + reach + 1]
            if float(heatmap[y, x]) > 0.1 and heatmap[y, x] == window.max():
                peaks.append((x, y, heatmap[y, x], tags[y, x]))
    return sorted(peaks, key=lambda peak: -peak[2])[:top]  # stable: ties stay in reading order


def slow_owners(peaks, persons):
    if not persons or not peaks:
        return [None] * len(peaks)
    costs, distances = [], []
    for _, _, score, tag in peaks:
        means = [np.mean(person['tags'], axis=0) for person in persons]
        distances.append([np.sqrt(np.sum((np.float64(tag) - mean) ** 2)) for mean in means])
        costs.append([round(float(d)) * 100 - float(score) for d in distances[-1]])
        costs[-1] += [1e10] * (len(peaks) - len(persons))
    owners = plain_munkres(costs)
    return [
        owner if owner < len(persons) and distances[row][owner] < 1 else None
        for row, owner in enumerate(owners)
    ]


# ---- scenes


def make_scene(rng, num_keypoints=5, height=None, width=None, num_tags=None):
    """Draw heat maps (K, H, W) and tags (K, H, W, L) of 0 to 30 persons of one of many kinds."""
    height = height or rng.integers(1, 40)
    width = width or rng.integers(1, 40)
    num_tags = num_tags or rng.integers(1, 3)
    shape = (num_keypoints, height, width)
    y, x = np.mgrid[:height, :width]
    heatmaps = rng.normal(0, rng.choice([0, 0, 0.02, 0.1]), shape)
    tags = rng.normal(rng.uniform(-3, 3), rng.choice([0, 0.3, 3]), (*shape, num_tags))
    spread, missing = rng.choice([1, 4, 20]), rng.choice([0, 0.3, 0.7])
    for tag in rng.uniform(-1, 1, rng.integers(0, 31)) * rng.choice([0.5, 5, 30]):
        center = rng.uniform(0, 1, 2) * (width, height)
        for k in range(num_keypoints):
            at = center + rng.normal(0, spread, 2)
            square = (x - at[0]) ** 2 + (y - at[1]) ** 2
            score = rng.uniform(0, 0.1) if rng.random() < missing else rng.uniform(0.1, 1)
            heatmaps[k] = np.maximum(heatmaps[k], score * np.exp(-square / 2 / 1.5**2))
            near = square < 16
            tags[k, near] = tag + rng.normal(0, 0.1, (near.sum(), num_tags))
    if rng.random() < 0.4:  # equal scores, plateaus, values exactly at a threshold
        heatmaps = np.round(heatmaps * 10) / 10
    if rng.random() < 0.4:  # equal tags, distances halfway between two integers
        tags = np.round(tags * 2) / 2
    return heatmaps.astype(np.float32), tags.astype(np.float32)


def as_batch(scenes):
    """Stack scenes of one size as the head does: all first tags, then all second ones."""
    heatmaps = torch.from_numpy(np.stack([heatmaps for heatmaps, _ in scenes]))
    tags = torch.from_numpy(np.stack([np.moveaxis(tags, -1, 0) for _, tags in scenes]))
    return heatmaps, tags.flatten(1, 2)


def make_codec(size, order=COCO_ORDER, cls=AssociativeEmbedding, **kwargs):
    """Build a codec whose input pixels are those of the maps, with the authors' half pixel."""
    kwargs = dict(decode_keypoint_order=order, decode_center_shift=0.5) | kwargs
    return cls(input_size=size, heatmap_size=size, **kwargs)


def assert_same(decoded, reference):
    for ours, theirs in zip(decoded, reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


# ---- the result


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(10))
def test_result_is_that_of_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(40):
        heatmaps, tags = make_scene(rng)
        order = list(rng.permutation(len(heatmaps)))
        codec = make_codec(heatmaps.shape[:0:-1], order)
        decoded = [batch[0] for batch in codec.batch_decode(*as_batch([(heatmaps, tags)]))]
        assert_same(decoded, slow_decode(heatmaps, tags, order))
        found += len(decoded[0])
    assert found > 100


def assert_same_bits(decoded, reference):
    for images, theirs in zip(decoded, reference, strict=True):
        for ours, former in zip(images, theirs, strict=True):
            assert (ours.dtype, ours.shape) == (former.dtype, former.shape)
            assert ours.tobytes() == former.tobytes()


@pytest.mark.parametrize('seed', range(40))
def test_result_is_that_of_the_former_grouping_bit_for_bit(seed):
    rng = np.random.default_rng(1000 + seed)
    num_keypoints, height, width, num_tags = rng.integers(1, (8, 40, 40, 4))
    batch = as_batch(
        [make_scene(rng, num_keypoints, height, width, num_tags) for _ in range(rng.integers(1, 3))]
    )
    kwargs = dict(
        decode_nms_kernel=int(rng.choice([1, 3, 5, 7])),
        decode_topk=int(rng.choice([1, 3, 30])),
        decode_tag_thr=float(rng.choice([0.3, 1, 5])),
    )
    size, order = (width, height), list(rng.permutation(num_keypoints))
    former = make_codec(size, order, FormerEmbedding, **kwargs).batch_decode(*batch)
    assert_same_bits(make_codec(size, order, **kwargs).batch_decode(*batch), former)


@pytest.mark.parametrize('num_tags', [1, 2, 3])
def test_mean_tags_are_numpys_to_the_bit(num_tags):
    rng = np.random.default_rng(num_tags)
    tags = rng.normal(0, 10, (200, num_tags)).astype(np.float32)
    counts = rng.integers(1, 40, 100)
    used = rng.integers(0, 200, (100, 40))
    means = grouping.mean_tags(tags, used, counts)
    for mean, row, count in zip(means, used, counts, strict=True):
        assert mean.tobytes() == np.mean(tags[row[:count]], axis=0).tobytes()


@pytest.mark.parametrize(('many', 'dense'), [(0, 0.5), (256, 0.0), (256, 1.0)])
def test_crowds_are_grouped_as_formerly_bit_for_bit(many, dense, monkeypatch):
    """With and without bounds by all tags, with all blocks of a map reduced and with some."""
    monkeypatch.setattr(missing, 'SEARCH_MANY', many)
    monkeypatch.setattr(reading, 'DENSE', dense)
    for num_persons, size in ((1, 128), (10, 128), (30, 256)):
        maps = draw_maps(num_persons, size)
        former = make_codec((size, size), cls=FormerEmbedding).batch_decode(*maps)
        assert len(former[0][0]) >= num_persons
        assert_same_bits(make_codec((size, size)).batch_decode(*maps), former)


@pytest.mark.parametrize('adjust', [True, False])
@pytest.mark.parametrize('refine', [True, False])
def test_adjust_and_refine_can_be_switched_off(adjust, refine):
    rng = np.random.default_rng(20)
    for _ in range(10):
        heatmaps, tags = make_scene(rng, height=24, width=33)
        codec = make_codec((33, 24), range(5), adjust=adjust, refine=refine)
        decoded = [batch[0] for batch in codec.batch_decode(*as_batch([(heatmaps, tags)]))]
        assert_same(decoded, slow_decode(heatmaps, tags, range(5), 30, 5, adjust, refine))


@pytest.mark.parametrize(('kernel', 'top'), [(1, 30), (3, 30), (7, 30), (5, 3), (5, 10_000)])
def test_other_windows_and_numbers_of_peaks(kernel, top):
    rng = np.random.default_rng(30)
    for _ in range(5):
        heatmaps, tags = make_scene(rng, 3, 20, 23)
        heatmaps = heatmaps.clip(max=1) * (rng.random(heatmaps.shape) < 0.3)
        codec = make_codec((23, 20), range(3), decode_nms_kernel=kernel, decode_topk=top)
        decoded = [batch[0] for batch in codec.batch_decode(*as_batch([(heatmaps, tags)]))]
        assert_same(decoded, slow_decode(heatmaps, tags, range(3), top, kernel))


@pytest.mark.parametrize('num_keypoints', [1, 14, 17, 20])
def test_any_number_of_keypoints_and_images(num_keypoints):
    rng = np.random.default_rng(num_keypoints)
    order = rng.permutation(num_keypoints)
    scenes = [make_scene(rng, num_keypoints, 30, 22, 2) for _ in range(3)]
    scenes.insert(1, (np.zeros_like(scenes[0][0]), scenes[0][1]))
    decoded = make_codec((22, 30), order).batch_decode(*as_batch(scenes))
    for scene, *image in zip(scenes, *decoded, strict=True):
        assert_same(image, slow_decode(*scene, order))


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(3))
def test_stock_decoder_agrees_where_it_is_to(monkeypatch, seed):
    """No equal heat, no border, at most 30 persons, a near tag for a missing keypoint.

    And with the algorithm of munkres 1.1, whichever release is installed.
    """

    class Munkres:
        compute = staticmethod(lambda costs: list(enumerate(plain_munkres(costs.tolist()))))

    monkeypatch.setattr('mmpose.codecs.associative_embedding.Munkres', Munkres)
    rng = np.random.default_rng(seed)
    compared = sought = 0
    for _ in range(10):
        heatmaps, tags = make_scene(rng, 17, 64, 96)
        heatmaps = (heatmaps.clip(0) + rng.uniform(0, 0.01, heatmaps.shape)).astype(np.float32) / 2
        batch = as_batch([(heatmaps, tags)])
        stock = make_codec((96, 64), cls=codecs.AssociativeEmbedding)
        theirs, their_scores, their_means = (images[0] for images in stock.batch_decode(*batch))
        codec = make_codec((96, 64))
        ours, scores, means = (images[0] for images in codec.batch_decode(*batch))
        if len(ours) > 30:
            continue
        codec.refine = False
        found = codec.batch_decode(*batch)[1][0] > 0

        compared += 1
        inner = found & ((ours >= 2) & (ours < (95, 63))).all(axis=-1)
        np.testing.assert_array_equal(ours[inner], theirs[inner])
        np.testing.assert_array_equal(scores[found], their_scores[found])
        np.testing.assert_allclose(means, their_means, rtol=1e-6)
        for n, k in np.argwhere(~found):
            x, y = ours[n].astype(int).T
            mean = tags[np.arange(17), y, x][found[n]].mean(axis=0)
            x, y = theirs[n, k].astype(int)
            if np.linalg.norm(tags[k, y, x] - mean) < 0.5:
                np.testing.assert_array_equal(np.floor(ours[n, k]), theirs[n, k])
                assert scores[n, k] == their_scores[n, k]
                sought += 1
    assert compared >= 7
    assert sought > 300


def test_udp_moves_peaks_as_stock_does():
    rng = np.random.default_rng(5)
    heatmaps, tags = make_scene(rng, 17, 64, 96)
    heatmaps = (heatmaps.clip(0.001) + rng.uniform(0, 0.01, heatmaps.shape)).astype(np.float32)
    heatmaps, tags = as_batch([(heatmaps, tags)])
    kept = heatmaps.clone()
    kwargs = dict(use_udp=True, decode_center_shift=0.0)
    ours, scores, _ = make_codec((96, 64), **kwargs, refine=False).batch_decode(heatmaps, tags)
    torch.testing.assert_close(heatmaps, kept, rtol=0, atol=0)
    stock = make_codec((96, 64), cls=codecs.AssociativeEmbedding, **kwargs)
    theirs, _, _ = stock.batch_decode(kept, tags)  # spoils the maps
    found = scores[0] > 0
    assert found.sum() > 20
    np.testing.assert_allclose(ours[0][found], theirs[0][found], rtol=0, atol=1e-4)


def test_hand_worked_persons():
    """Two persons of three keypoints on 8 x 6 maps, in pixels of an input of twice the size."""
    heatmaps, tags = np.zeros((3, 6, 8)), np.full((3, 6, 8, 1), 9.0)
    for k, y, x, score, tag in [
        (0, 1, 1, 0.8, 1.0), (1, 4, 1, 0.6, 1.3),  # one person, its last keypoint is missing ...
        (0, 1, 6, 0.9, 5.0), (1, 4, 6, 0.5, 5.1), (2, 3, 5, 0.4, 4.9),
    ]:  # fmt: skip
        heatmaps[k, y, x], tags[k, y, x] = score, tag
    heatmaps[0, 1, 7] = 0.2  # right of the second person's peak
    heatmaps[2, 5, 2], tags[2, 5, 2] = 0.05, 1.1  # ... and is found below the threshold
    batch = as_batch([(heatmaps.astype(np.float32), tags.astype(np.float32))])
    codec = AssociativeEmbedding(
        (16, 12), (8, 6), decode_keypoint_order=[0, 1, 2], decode_center_shift=0.5
    )
    keypoints, scores, means = (images[0] for images in codec.batch_decode(*batch))
    # a quarter pixel back where neighbors are equal, forward where the next or the border is
    # higher: twice 6.25, 6.75 at (0, 1, 6), 5.75 at (2, 5, 2)
    expected = [[(13.5, 2.5), (12.5, 8.5), (10.5, 6.5)], [(2.5, 2.5), (2.5, 8.5), (4.5, 11.5)]]
    np.testing.assert_allclose(keypoints, expected)
    np.testing.assert_allclose(scores, [[0.9, 0.5, 0.4], [0.8, 0.6, 0.05]])
    np.testing.assert_allclose(means, [0.6, 1.4 / 3], rtol=1e-6)


def test_torch_reads_maps_of_other_devices_alike(monkeypatch):
    """Maps on the CPU are read with numpy; here they are taken for maps on another device."""
    rng = np.random.default_rng(9)
    batch = as_batch([make_scene(rng, 5, 37, 50, 2) for _ in range(3)])
    codec = make_codec((50, 37), range(5))
    by_numpy = codec.batch_decode(*batch)
    monkeypatch.setattr(reading, 'as_array', lambda maps: maps)
    assert sum(map(len, by_numpy[0])) > 10
    for ours, theirs in zip(codec.batch_decode(*batch), by_numpy, strict=True):
        assert_same(ours, theirs)


def test_of_maps_on_another_device_only_candidates_are_moved(monkeypatch):
    """Maps on the CPU are taken for maps on another device, and what is moved is counted."""
    maps = draw_maps(10, 512)
    codec = make_codec((512, 512))
    by_numpy = codec.batch_decode(*maps)
    moved = []
    monkeypatch.setattr(reading, 'as_array', lambda maps: maps)
    move = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda self: moved.append(self.nbytes) or move(self))
    decoded = codec.batch_decode(*maps)
    monkeypatch.undo()
    assert_same_bits(decoded, by_numpy)
    # the extremes of blocks of 8 x 8 pixels, at most five for a keypoint, are a tenth of that
    assert 0 < sum(moved) < 0.1 * sum(one.nbytes for one in maps)


def test_maximum_of_instances_keeps_the_first():
    rng = np.random.default_rng(8)
    batch = as_batch([make_scene(rng, 5, 40, 40)])
    everybody = make_codec((40, 40), range(5)).batch_decode(*batch)
    first = make_codec((40, 40), range(5), decode_max_instances=3).batch_decode(*batch)
    assert len(everybody[0][0]) > 3
    for some, every in zip(first, everybody, strict=True):
        np.testing.assert_array_equal(some[0], every[0][:3])


def test_threshold_is_compared_exactly():
    """In float32, 0.1 and 0.3 are above what they are in float64, and 0.7 is below."""
    for threshold, number in [(0.1, 1), (0.3, 1), (0.7, 0)]:
        heatmaps = torch.zeros(1, 1, 5, 5)
        heatmaps[..., 2, 2] = threshold
        codec = make_codec((5, 5), [0], decode_keypoint_thr=threshold)
        assert len(codec.batch_decode(heatmaps, heatmaps)[0][0]) == number


# ---- bad input


def test_bad_arguments_are_refused():
    for order in ([0, 0, 1], [1, 2, 3], [0, -1]):
        with pytest.raises(ValueError, match='decode_keypoint_order must hold each'):
            make_codec((8, 8), order)
    with pytest.raises(ValueError, match='decode_nms_kernel must be odd, not 4'):
        make_codec((8, 8), decode_nms_kernel=4)
    with pytest.raises(ValueError, match='decode_topk must be at least 1, not 0'):
        make_codec((8, 8), decode_topk=0)
    with pytest.raises(ValueError, match='decode_keypoint_thr must not be negative, not -1'):
        make_codec((8, 8), decode_keypoint_thr=-1)


@pytest.mark.parametrize('order', [[], COCO_ORDER])
def test_order_of_another_number_of_keypoints_is_refused(order):
    with pytest.raises(ValueError, match='must hold the 14 keypoints of the heat maps'):
        make_codec((8, 8), order).batch_decode(torch.zeros(1, 14, 8, 8), torch.zeros(1, 14, 8, 8))


@pytest.mark.parametrize(
    ('heatmaps', 'tags', 'message'),
    [
        ((2, 3, 8, 8), (2, 3, 8, 4), 'agree in batch and map size'),
        ((2, 3, 8, 8), (1, 3, 8, 8), 'agree in batch and map size'),
        ((2, 3, 8, 8), (2, 4, 8, 8), 'equally many tags'),
        ((2, 3, 8, 8), (2, 1, 8, 8), 'equally many tags'),
        ((3, 8, 8), (3, 8, 8), 'not empty'),
        ((2, 3, 0, 8), (2, 3, 0, 8), 'not empty'),
    ],
)
def test_maps_that_do_not_fit_are_refused(heatmaps, tags, message):
    with pytest.raises(ValueError, match=message):
        make_codec((8, 8), range(3)).batch_decode(torch.zeros(heatmaps), torch.zeros(tags))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value):
    maps, bad = torch.zeros(2, 3, 9, 9), torch.zeros(2, 3, 9, 9)
    bad[1, 2, 8, 8] = value
    codec = make_codec((9, 9), range(3))
    with pytest.raises(ValueError, match='heat maps must be finite'):
        codec.batch_decode(bad, maps)
    with pytest.raises(ValueError, match='tags must be finite'):
        codec.batch_decode(maps, bad)


# ---- within MMPose


def test_nobody_passes_through_the_stock_estimator():
    """From maps to data samples, of an image without persons and one with, by names in configs."""
    init_default_scope('mmpose')
    codec = dict(
        type='hsjp_mm.AssociativeEmbedding',
        input_size=(32, 32),
        heatmap_size=(8, 8),
        decode_keypoint_order=[0, 1],
    )
    head = MODELS.build(
        dict(type='AssociativeEmbeddingHead', in_channels=4, num_keypoints=2, decoder=codec)
    )
    heatmaps = torch.zeros(2, 2, 8, 8)
    heatmaps[1, :, 3, 5] = 1
    predictions = head.decode((heatmaps, torch.zeros(2, 4, 8, 8)))
    place = dict(input_size=np.array([32, 32]), input_center=np.array([64, 64]))
    samples = [
        PoseDataSample(metainfo=dict(place, input_scale=np.array([128, 128]))) for _ in range(2)
    ]
    nobody, somebody = BottomupPoseEstimator.add_pred_to_datasample(
        None, predictions, None, samples
    )
    assert nobody.pred_instances.keypoints.shape == (0, 2, 2)
    assert nobody.pred_instances.keypoint_scores.shape == (0, 2)
    assert nobody.pred_instances.bbox_scores.shape == (0,)
    # 4.75 and 2.75 cells of 4 pixels of the input, each of which is 4 of the image
    np.testing.assert_allclose(somebody.pred_instances.keypoints, [[[76, 44], [76, 44]]])


def test_encoding_takes_the_cell_that_a_keypoint_lies_in():
    codec = AssociativeEmbedding(input_size=(32, 24), heatmap_size=(8, 6), sigma=1)
    keypoints = np.array([[[7.9, 4.0], [31.9, 23.9], [-0.1, 5], [12, 24.0], [9, 9]]], np.float32)
    visible = np.array([[1, 1, 1, 1, 0]], np.float32)
    encoded = codec.encode(keypoints, visible)
    np.testing.assert_array_equal(encoded['keypoint_indices'][0, :2], [[8 + 1, 1], [5 * 8 + 7, 1]])
    assert not encoded['keypoint_indices'][0, 2:, 1].any()
    assert not encoded['heatmaps'][2:].any()  # not even the rim of a Gaussian from outside
    y, x = np.mgrid[:6, :8]
    for heatmap, center in zip(encoded['heatmaps'], [(1, 1), (7, 5)], strict=False):
        square = (x - center[0]) ** 2 + (y - center[1]) ** 2
        window = (abs(x - center[0]) <= 3) & (abs(y - center[1]) <= 3)
        np.testing.assert_allclose(heatmap, window * np.exp(-square / 2), atol=1e-6)
    everywhere = codec.encode(keypoints)
    assert everywhere['keypoint_indices'][0, :, 1].tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize('strides', [(4,), (2,), (4, 2)])
def test_enlarged_targets_are_decoded_to_where_they_came_from(strides):
    x = np.arange(32, 64, 0.5, dtype=np.float32) + 0.25  # every place in a cell equally often
    keypoints = np.stack([x, x[::-1] + 16], axis=1)[:, None]
    decoder = make_codec((128, 128), range(1))
    errors = []
    for keypoint in keypoints:
        maps = []
        for stride in strides:
            size = (128 // stride,) * 2
            codec = AssociativeEmbedding(input_size=(128, 128), heatmap_size=size, sigma=2)
            heatmaps = torch.from_numpy(codec.encode(keypoint[None])['heatmaps'])[None]
            maps.append(torch.nn.functional.interpolate(heatmaps, (128, 128), mode='bilinear'))
        heatmaps = sum(maps) / len(maps)
        decoded = decoder.batch_decode(heatmaps, torch.zeros_like(heatmaps))[0][0]
        errors.append(decoded[0, 0] - keypoint[0])
    # a cell's half, and the quarter pixel that equal neighbors leave
    assert np.abs(errors).max() < min(strides) / 2 + 0.3
    assert np.abs(np.mean(errors, axis=0)).max() < 0.3  # by rounding, 1.2 to 2.6


def test_encoding_with_udp_is_the_stock_one():
    cfg = dict(input_size=(32, 24), heatmap_size=(8, 6), sigma=1, use_udp=True)
    keypoints = np.array([[[7.9, 4.0], [31.9, 23.9], [-0.1, 5]]], np.float32)
    ours = AssociativeEmbedding(**cfg).encode(keypoints)
    stock = codecs.AssociativeEmbedding(**cfg).encode(keypoints)
    assert ours.keys() == stock.keys()
    for name, value in stock.items():
        np.testing.assert_array_equal(ours[name], value)


@pytest.mark.parametrize('number', [0, 2])
def test_keypoint_indices_reach_the_stock_loss(number):
    init_default_scope('mmpose')
    codec = dict(
        type='hsjp_mm.AssociativeEmbedding', input_size=(32, 24), heatmap_size=(8, 6), sigma=2
    )
    results = dict(
        img=np.zeros((24, 32, 3), np.uint8),
        keypoints=np.array([[[8, 4], [20, 16]], [[0, 20], [99, 0]]], np.float32)[:number],
        keypoints_visible=np.ones((number, 2), np.float32),
        heatmap_mask=np.ones((6, 8), np.uint8),
    )
    targets = TRANSFORMS.build(dict(type='GenerateTarget', encoder=codec)).transform(results)
    sample = TRANSFORMS.build(dict(type='PackPoseInputs')).transform(targets)['data_samples']
    labels = sample.gt_instance_labels
    expected = [[[10, 1], [37, 1]], [[40, 1], [24, 0]]][:number]  # y * 8 + x, and whether inside
    np.testing.assert_array_equal(labels.keypoint_indices, np.reshape(expected, (-1, 2, 2)))
    stock = KEYPOINT_CODECS.build(dict(codec, type='AssociativeEmbedding'))
    encoded = stock.encode(results['keypoints'], results['keypoints_visible'])
    np.testing.assert_array_equal(labels.keypoint_weights, encoded['keypoint_weights'])
    np.testing.assert_array_equal(sample.gt_fields.heatmaps, encoded['heatmaps'])
    assert 'heatmap_mask' in sample.gt_fields

    # tags 1 and 3: no pull; push of half the mean of exp(-(1 - 3)^2) and, as stock has it, exp(0)
    tags = torch.zeros(2, 6, 8)
    tags.flatten(1)[[0, 1, 0], [10, 37, 40]] = torch.tensor([1.0, 1, 3])
    loss = MODELS.build(dict(type='AssociativeEmbeddingLoss'))
    pull, push = loss(tags[None], [labels.keypoint_indices])
    assert pull == 0
    np.testing.assert_allclose(push.detach(), (1 + np.exp(-4)) / 2 if number else 0, rtol=1e-5)
