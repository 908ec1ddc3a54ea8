import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, init_default_scope
from mmengine.runner import set_random_seed

from hsjp_mm.datasets import (
    ChannelNoise,
    MeshAffine,
    MeshOccluders,
    PackMeshInputs,
    RandomMeshAffine,
)
from hsjp_mm.models import BodyModel
from hsjp_mm.ops.cameras import crop_projection, translation_to_weak
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices
from hsjp_mm.ops.part_labels import IGNORED
from tests.mesh_bodies import CAMERA, HEIGHT, NAMES, WIDTH, in_pixels, make_sample, posed

SIZES = [(128, 128), (96, 128), (160, 96)]


@pytest.fixture(scope='module')
def free() -> BodyModel:
    return BodyModel().double()


CHANGES = {
    'plain crop': {},
    'flipped': dict(flip=True),
    'turned': dict(angle=0.7),
    'all': dict(flip=True, angle=-0.9, scale=0.8, shift=(0.1, -0.2)),
}


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('change', list(CHANGES))
def test_the_body_goes_where_the_image_goes(free, size, change):
    """Every vertex, projected after the augmentation, is where the warp of the image takes it."""
    sample = make_sample(free)
    before = posed(free, sample)
    seen = in_pixels(before.vertices[0], CAMERA)
    # a blob in the picture for each of some vertices far from one another
    chosen = [int(np.argmax(seen @ direction)) for direction in ([1, 0], [-1, 0], [0, 1], [0, -1])]
    pictures = []
    for vertex in chosen:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        square = (columns - seen[vertex, 0]) ** 2 + (rows - seen[vertex, 1]) ** 2
        pictures.append(np.exp(-square / 18)[..., None].repeat(3, axis=2))
    cut = MeshAffine(size).cut
    results = cut({**sample, 'img': np.zeros((HEIGHT, WIDTH, 3), np.uint8)}, **CHANGES[change])
    after = posed(free, results)
    flip = CHANGES[change].get('flip', False)
    order = np.arange(len(seen))
    if flip:
        order = vertex_mirror()
    # from the image of the flipped and turned camera into the input, by what crop says
    x, y, side = results['crop'].astype(np.float64)

    def into_input(points):
        return (points - [x, y]) * max(size) / side + np.array(size) / 2

    found = into_input(in_pixels(after.vertices[0], results['camera']))
    for vertex, picture in zip(chosen, pictures, strict=True):
        warped = cut({**sample, 'img': (255 * picture).astype(np.uint8)}, **CHANGES[change])['img']
        values = warped[..., 0].astype(float)
        if values.max() < 200:
            continue  # the crop does not show it
        values[values < 100] = 0
        rows, columns = np.mgrid[: size[1], : size[0]]
        spot = [(values * axis).sum() / values.sum() for axis in (columns, rows)]
        position = found[order.tolist().index(vertex)]
        if (position > 6).all() and (position < np.array(size) - 6).all():
            np.testing.assert_allclose(spot, position, atol=0.25)
    # joints: projected they are the keypoints, and the pose makes them
    joints = torch.from_numpy(results['joints'].astype(np.float64))
    expected = into_input(in_pixels(joints, results['camera']))
    np.testing.assert_allclose(results['keypoints'][0], expected, atol=1e-4)
    made = free.keypoints(after, 'mesh_22')[0].numpy()
    np.testing.assert_allclose(results['joints'], made, atol=2e-6)
    # the weak camera that stands for the translation shows the same
    crop, camera = torch.from_numpy(results['crop']), torch.from_numpy(results['camera'])
    views = crop.double(), camera[0].double(), camera[2:].double()
    translation = torch.from_numpy(results['translation']).double()
    weak = translation_to_weak(translation, *views)
    on_crop = crop_projection(joints - translation, weak, *views).numpy()
    on_input = on_crop * max(size) / 2 + np.array(size) / 2
    np.testing.assert_allclose(on_input, results['keypoints'][0], atol=1e-4)
    assert results['has_translation'] == ('angle' not in CHANGES[change])


def vertex_mirror() -> np.ndarray:
    from hsjp_mm.models.body_models.smpl_files import read_body

    mirror = read_body('free', 'neutral').mirror
    assert mirror is not None
    return mirror


def test_the_free_body_is_its_own_mirror_image(free):
    """The mirrored pose with the same shape is the mirror image, vertex by vertex."""
    sample = make_sample(free)
    mirrored = MeshAffine((128, 128)).cut(make_sample(free), flip=True)
    one, other = posed(free, sample), posed(free, mirrored)
    expected = one.vertices[0, vertex_mirror()].numpy() * [-1, 1, 1]
    np.testing.assert_allclose(other.vertices[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize('size', SIZES)
def test_a_flip_is_undone_by_a_flip(free, size):
    sample = make_sample(free)
    once = MeshAffine(size).cut(make_sample(free), flip=True)
    assert not np.allclose(once['rotations'], sample['rotations'])
    swap = mirror_indices(NAMES)
    np.testing.assert_array_equal(once['joints_weight'], sample['joints_weight'][swap])
    np.testing.assert_array_equal(once['keypoints_visible'][0], sample['joints_weight'][swap])
    plain = MeshAffine(size).cut(make_sample(free))
    assert once['crop'][0] == pytest.approx(WIDTH - plain['crop'][0], abs=1e-4)
    assert once['camera'][2] == WIDTH - CAMERA[2]
    np.testing.assert_allclose(once['keypoints'][0, swap, 0], size[0] - plain['keypoints'][0, :, 0],
                               atol=1e-4)  # fmt: skip
    # as a second image, whose center is where the crop's now is
    again = {**once, 'img': np.zeros((HEIGHT, WIDTH, 3), np.uint8)}
    again['bbox_center'] = once['crop'][None, :2]
    twice = MeshAffine(size).cut(again, flip=True)
    for key in ('rotations', 'joints', 'joints_weight', 'keypoints_visible', 'translation'):
        np.testing.assert_allclose(twice[key], sample[key], atol=1e-7)
    for key in ('crop', 'camera'):
        np.testing.assert_allclose(twice[key], plain[key], atol=1e-4)


def test_parts_go_with_the_image_and_change_sides(free, tmp_path):
    """Bands of gray and their labels: after the warp each cell's label is that of its pixel."""
    parts = np.zeros((HEIGHT, WIDTH), np.uint8)
    for part in range(1, 25):
        parts[:, 10 * part + 40 : 10 * part + 50] = part
    cv2.imwrite(str(tmp_path / 'parts.png'), parts)
    image = (10 * parts)[..., None].repeat(3, axis=2)
    for change in CHANGES.values():
        sample = {**make_sample(free), 'img': image, 'part_map_path': str(tmp_path / 'parts.png')}
        results = MeshAffine((160, 96)).cut(sample, **change)
        cells = results['part_map'][0]
        assert cells.shape == (24, 40)
        seen = results['img'][::4, ::4, 0]
        labels = mirror_indices(joint_names('smpl_24'))
        swap = np.array([0, *(joint + 1 for joint in labels)])
        inside = cells != IGNORED
        flipped = swap if change.get('flip') else np.arange(25)
        right = flipped[np.rint(seen[inside] / 10).astype(int).clip(0, 24)] == cells[inside]
        assert inside.sum() > 400
        assert right.mean() > 0.8  # edges of bands are blended in the image
        assert len(np.unique(cells[inside])) > 5
    results = MeshAffine((160, 96)).cut({**sample, 'img': image}, shift=(2.0, 0.0))
    assert (results['part_map'] == IGNORED).any()  # beside the image nothing is known


def test_maps_of_parts_are_checked(free, tmp_path):
    def cut(name: str):
        return MeshAffine((128, 128))({**make_sample(free), 'part_map_path': str(tmp_path / name)})

    with pytest.raises(FileNotFoundError, match=r'none\.png cannot be read as a map of parts'):
        cut('none.png')
    cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match='is 5×4 pixels, its image 330×210'):
        cut('small.png')
    cv2.imwrite(str(tmp_path / 'other.png'), np.full((HEIGHT, WIDTH), 30, np.uint8))
    with pytest.raises(ValueError, match='has the part 30, there are 24'):
        cut('other.png')


def test_unknown_cameras_are_guessed(free):
    sample = {**make_sample(free), 'camera': np.full(4, np.nan, np.float32)}
    camera = MeshAffine((128, 128))(sample)['camera']
    np.testing.assert_allclose(camera, [np.hypot(WIDTH, HEIGHT)] * 2 + [WIDTH / 2, HEIGHT / 2])


@pytest.mark.parametrize('size', SIZES)
def test_the_box_fits_into_the_input(free, size):
    """The padded box touches the input's border in one direction, and is inside in the other."""
    sample = make_sample(free)
    center, scale = sample['bbox_center'][0], sample['bbox_scale'][0]
    results = MeshAffine(size)(sample)
    _, _, side = results['crop']
    shown = np.array(size) * side / max(size)
    np.testing.assert_allclose(results['input_scale'], shown, rtol=1e-6)
    np.testing.assert_allclose(results['input_center'], center, atol=1e-4)
    assert (scale / shown).max() == pytest.approx(1, abs=1e-5)


def test_distributions_are_those_of_spin(free, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        RandomMeshAffine, 'cut', lambda self, results, *change: drawn.append(change) or results
    )
    set_random_seed(0)
    augment = RandomMeshAffine((128, 128), shift_factor=0.1)
    for _ in range(4000):
        augment({})
    flips, angles, scales, shifts = (np.array(values) for values in zip(*drawn, strict=True))
    assert flips.mean() == pytest.approx(0.5, abs=0.03)
    assert (angles != 0).mean() == pytest.approx(0.4, abs=0.03)
    degrees = np.rad2deg(angles[angles != 0])
    assert np.abs(degrees).max() == pytest.approx(60, abs=1e-6)
    assert (np.abs(degrees) == np.abs(degrees).max()).mean() == pytest.approx(0.0455, abs=0.02)
    assert np.abs(degrees).mean() == pytest.approx(30 * 0.78, rel=0.05)
    assert (scales.min(), scales.max()) == (0.75, 1.25)
    assert ((scales == 0.75) | (scales == 1.25)).mean() == pytest.approx(0.317, abs=0.03)
    assert np.abs(shifts).max() == pytest.approx(0.1, abs=0.001)


def test_channels_are_multiplied_each_by_its_own_factor():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    set_random_seed(1)
    found = [ChannelNoise()(dict(img=image.copy()))['img'].reshape(256, 3) for _ in range(200)]
    factors = np.array([colors[150] / 150 for colors in found])
    for colors, own in zip(found, factors, strict=True):
        expected = np.clip(np.arange(256)[:, None] * own, 0, 255)
        assert np.abs(colors - expected).max() <= 1.5  # the factors are known to 1 / 300
    assert 0.59 < factors.min() < 0.63
    assert 1.37 < factors.max() < 1.41
    assert abs(np.corrcoef(factors.T)[0, 1:]).max() < 0.2


def test_occluders_cover_image_and_parts(free):
    image = np.full((96, 160, 3), 200, np.uint8)
    parts = np.full((1, 24, 40), 5, np.uint8)
    parts[0, :, 0] = IGNORED
    set_random_seed(0)
    sample = dict(img=image, part_map=parts, keypoints='stay')
    results = MeshOccluders(prob=1.0, max_number=2)(sample)
    changed = (results['img'] != 200).any(axis=2)
    assert 0.005 < changed.mean() < 0.5
    covered = results['part_map'][0] == 0
    np.testing.assert_array_equal(covered[:, 1:], changed[::4, ::4][:, 1:])
    assert covered.any()
    assert (results['part_map'][0, :, 0] == IGNORED).all()
    assert results['keypoints'] == 'stay'
    assert (image == 200).all()  # the picture that came is as it was
    untouched = MeshOccluders(prob=0.0)(dict(img=image))
    assert untouched['img'] is image


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: MeshAffine((126, 128)), r'input_size=\(126, 128\) must be multiples of 4'),
        (lambda: RandomMeshAffine((128, 128), flip_prob=1.5), r'flip_prob=1.5 must be in \[0, 1\]'),
        (lambda: RandomMeshAffine((128, 128), rotate_prob=-1), 'rotate_prob=-1 must be in'),
        (lambda: RandomMeshAffine((128, 128), rotate_sigma=-1), 'rotate_sigma=-1 must be degrees'),
        (lambda: RandomMeshAffine((128, 128), scale_sigma=1), 'scale_sigma=1 must be in'),
        (lambda: RandomMeshAffine((128, 128), shift_factor=2), 'shift_factor=2 must be in'),
        (lambda: ChannelNoise(2), 'strength=2 must be in'),
        (lambda: MeshOccluders(prob=2), 'prob=2 must be in'),
        (lambda: MeshOccluders(max_number=0), 'max_number=0 must be at least 1'),
        (lambda: MeshOccluders(size=(0.5, 0.2)), r'size=\(0.5, 0.2\) must be a range'),
    ],
)
def test_arguments_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_packs_what_a_sample_has(free, tmp_path):
    sample = make_sample(free)
    parts = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.imwrite(str(tmp_path / 'parts.png'), parts)
    sample['part_map_path'] = str(tmp_path / 'parts.png')
    packed = PackMeshInputs()(MeshAffine((96, 128))(sample))
    assert packed['inputs'].shape == (3, 128, 96)
    found = packed['data_samples']
    shapes = {key: tuple(value.shape) for key, value in found.gt_instances.all_items()}
    assert shapes == dict(
        bboxes=(1, 4), bbox_scores=(1,), bbox_centers=(1, 2), bbox_scales=(1, 2),
        keypoints=(1, 22, 2), keypoints_visible=(1, 22), joints=(1, 22, 3), joints_weight=(1, 22),
        rotations=(1, 24, 3, 3), shape=(1, 10), translation=(1, 3), has_pose=(1,), has_shape=(1,),
        has_translation=(1,),
    )  # fmt: skip
    assert found.gt_fields.part_map.shape == (1, 32, 24)
    assert found.metainfo['has_parts'] is True
    assert found.metainfo['joint_set'] == 'mesh_22'
    assert found.metainfo['flip_indices'] == mirror_indices(NAMES)
    assert len(found.metainfo['crop']) == 3
    assert len(found.metainfo['camera']) == 4
    assert (found.metainfo['id'], found.metainfo['gender']) == (3, 'neutral')


def test_a_picture_with_a_box_is_enough():
    init_default_scope('mmpose')
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='hsjp_mm.MeshAffine', input_size=(96, 128)),
                dict(type='hsjp_mm.PackMeshInputs'),
            )
        ]
    )
    image = np.zeros((50, 70, 3), np.uint8)
    box = np.array([[10, 5, 30, 45]], np.float32)
    packed = pipeline(dict(img=image, bbox=box, bbox_score=np.ones(1, np.float32)))
    found = packed['data_samples']
    assert set(found.gt_instances.keys()) == {
        'bboxes', 'bbox_scores', 'bbox_centers', 'bbox_scales'
    }  # fmt: skip
    assert found.metainfo['has_parts'] is False
    # GetBBoxCenterScale pads the box by 1.25, and its height decides
    np.testing.assert_allclose(found.metainfo['crop'], [20, 25, 50])


@pytest.mark.parametrize('cls', [MeshAffine, RandomMeshAffine])
def test_what_the_stock_flip_has_flipped_is_refused(free, cls):
    """It moves image and keypoints, and neither joints, rotations nor the map of parts."""
    flip = {'flip': True, 'flip_direction': 'horizontal'}
    sample = {**make_sample(free), 'img': np.zeros((HEIGHT, WIDTH, 3), np.uint8), **flip}
    with pytest.raises(ValueError, match=f'{cls.__name__} stands after RandomFlip'):
        cls((128, 128)).transform(sample)
