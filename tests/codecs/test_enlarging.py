"""Maps of which only blocks are enlarged, against maps that are enlarged as a whole."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.benchmarks.data import draw_maps
from hsjp_mm.codecs import AssociativeEmbedding
from hsjp_mm.codecs.enlarging import EnlargedMaps
from hsjp_mm.codecs.reading import BLOCK, WholeMaps

# factors of the sources, size that they cover, size that counts
CASES = [
    ((4, 2), (64, 96), (64, 96)),
    ((4, 2, 1), (64, 96), (61, 90)),  # some blocks jut out
    ((4,), (128, 64), (68, 64)),
    ((8, 1), (16, 16), (7, 16)),  # lower than a block
    ((2,), (30, 50), (30, 50)),
]
ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


def make_sources(factors, covered, num_maps=3, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(num_maps, *(side // factor for side in covered)) for factor in factors]
    return [torch.from_numpy(rng.normal(0, 1, shape)).float() for shape in shapes]


def all_pixels(maps):
    return maps.take(np.arange(np.prod(maps.shape))).reshape(maps.shape)


def enlarged(sources, covered, size):
    """All of it, in double precision."""
    maps = [
        F.interpolate(source[None].double(), covered, mode='bilinear', align_corners=False)[0]
        for source in sources
    ]
    return torch.stack(maps).mean(dim=0)[:, : size[0], : size[1]].numpy()


@pytest.mark.parametrize(('factors', 'covered', 'size'), CASES)
def test_pixels_and_blocks_are_those_of_the_whole(factors, covered, size):
    sources = make_sources(factors, covered)
    maps, expected = EnlargedMaps(sources, factors, size), enlarged(sources, covered, size)
    assert maps.shape == expected.shape
    pixels = all_pixels(maps)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    np.testing.assert_allclose(maps.whole(), expected, atol=1e-6)
    places = np.tile(np.arange(np.prod(maps.blocks)), 3)
    channels = np.repeat(np.arange(3), np.prod(maps.blocks))
    blocks = maps.take_blocks(channels, places)
    same = WholeMaps(torch.from_numpy(pixels)).take_blocks(channels, places)
    assert blocks.tobytes() == same.tobytes()


@pytest.mark.parametrize(('factors', 'covered', 'size'), CASES)
def test_bounds_hold_for_each_pixel_and_are_near(factors, covered, size):
    maps = EnlargedMaps(make_sources(factors, covered), factors, size)
    values = all_pixels(maps)
    asked = np.ones((3, *maps.blocks), bool)
    lowest, highest = maps.extremes(np.arange(3), asked).reshape(2, *asked.shape)
    exact = WholeMaps(torch.from_numpy(values)).extremes(np.arange(3), asked)
    exact = exact.reshape(2, *lowest.shape)
    assert (lowest <= exact[0]).all()
    assert (highest >= exact[1]).all()
    middles = maps.middles(np.arange(3))
    assert middles.shape == lowest.shape
    assert ((lowest <= middles) & (middles <= highest)).all()
    # of constant maps they are the constant, but for the margin
    flat = EnlargedMaps([torch.full_like(s, -3.0) for s in maps.sources], factors, size)
    np.testing.assert_allclose([flat.lower, flat.upper], -3.0, rtol=2e-6)


@pytest.mark.parametrize('kernel', [1, 3, 5, 21])
@pytest.mark.parametrize(('factors', 'covered', 'size'), CASES)
def test_maxima_are_those_of_the_whole(factors, covered, size, kernel):
    maps = EnlargedMaps(make_sources(factors, covered), factors, size)
    whole = WholeMaps(torch.from_numpy(all_pixels(maps)))
    least = np.float32(0.5)
    found, expected = maps.maxima(kernel, least), whole.maxima(kernel, least)
    assert len(expected[0]) > 0
    order = np.argsort(expected[0])
    np.testing.assert_array_equal(found[0], expected[0][order])
    np.testing.assert_array_equal(found[1], expected[1][order])
    assert (found[2] >= expected[2]).all()


def test_equal_neighbors_are_all_maxima_as_in_the_whole():
    """A peak halfway between two cells has two highest pixels, in one block or in two."""
    source = torch.zeros(1, 8, 8)
    for x in (1, 3, 4):
        source[0, 4, x] = 1.0
    maps = EnlargedMaps([source], [4], (32, 32))
    whole = WholeMaps(torch.from_numpy(all_pixels(maps)))
    np.testing.assert_array_equal(
        maps.maxima(5, np.float32(0.1))[0], np.sort(whole.maxima(5, np.float32(0.1))[0])
    )


@pytest.mark.parametrize('num_persons', [1, 10, 30])
@pytest.mark.parametrize('use_udp', [False, True])
def test_persons_are_those_of_the_whole_maps(num_persons, use_udp):
    heatmaps, tags = draw_maps(num_persons, 128)
    finer = F.interpolate(heatmaps, (256, 256), mode='bicubic')
    sources = [heatmaps[0], finer[0]]
    pair = EnlargedMaps(sources, [4, 2], (512, 480)), EnlargedMaps([tags[0]], [4], (512, 480))
    codec = AssociativeEmbedding(
        (512, 512), (512, 512), decode_keypoint_order=ORDER, decode_center_shift=0.5,
        use_udp=use_udp,
    )  # fmt: skip
    whole = [torch.from_numpy(maps.whole())[None] for maps in pair]
    expected = codec.batch_decode(*whole)
    found = codec.batch_decode([pair[0]] * 2, [pair[1]] * 2)
    assert len(expected[0][0]) >= num_persons
    for image in range(2):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours[image], theirs[0], atol=1e-4)


def test_few_blocks_are_enlarged_for_few_persons(monkeypatch):
    heatmaps, tags = draw_maps(1, 128)
    pair = EnlargedMaps([heatmaps[0]], [4], (512, 512)), EnlargedMaps([tags[0]], [4], (512, 512))
    read = []
    take_blocks = EnlargedMaps.take_blocks
    monkeypatch.setattr(
        EnlargedMaps,
        'take_blocks',
        lambda self, channels, places: read.append(len(places))
        or take_blocks(self, channels, places),
    )
    codec = AssociativeEmbedding((512, 512), (512, 512), decode_keypoint_order=ORDER)
    assert len(codec.batch_decode([pair[0]], [pair[1]])[0][0]) >= 1
    assert 0 < sum(read) < 0.1 * 17 * (512 // BLOCK) ** 2


def test_maps_without_a_person_have_none():
    nothing = EnlargedMaps([torch.zeros(17, 8, 8)], [4], (32, 32))
    codec = AssociativeEmbedding((32, 32), (32, 32), decode_keypoint_order=ORDER)
    keypoints, scores, person_scores = codec.batch_decode([nothing], [nothing])
    assert keypoints[0].shape == (0, 17, 2)
    assert scores[0].shape == (0, 17)
    assert len(person_scores[0]) == 0


def test_sources_that_do_not_fit_are_refused():
    source = torch.zeros(1, 8, 8)
    with pytest.raises(ValueError, match=r'factors=\[3\] must be of'):
        EnlargedMaps([source], [3], (24, 24))
    with pytest.raises(ValueError, match='must cover size'):
        EnlargedMaps([source, source], [4, 2], (16, 16))
    with pytest.raises(ValueError, match='must cover size'):
        EnlargedMaps([source], [4], (32, 33))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    good = EnlargedMaps([torch.zeros(17, 8, 8)], [4], (32, 32))
    source = torch.zeros(17, 8, 8)
    source[3, 4, 5] = value
    bad = EnlargedMaps([source], [4], (32, 32))
    codec = AssociativeEmbedding((32, 32), (32, 32), decode_keypoint_order=ORDER)
    with pytest.raises(ValueError, match='heat maps must be finite'):
        codec.batch_decode([bad], [good])
    with pytest.raises(ValueError, match='tags must be finite'):
        codec.batch_decode([good], [bad])
