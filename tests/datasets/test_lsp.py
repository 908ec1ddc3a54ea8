"""LSP and LSP extended: the real joints.mat files, and small made-up ones."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpose.datasets import CocoDataset, CombinedDataset
from mmpose.registry import DATASETS
from scipy.io import loadmat, savemat

from hsjp_mm.datasets import LSPDataset, PersonCropDataset
from hsjp_mm.datasets.lsp import LSP_TO_MPII, MPII_OF_LSP, read_joints, to_coco
from tests.helpers import SHARED

REAL = SHARED / 'lsp'
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason='../shared/data/lsp is not here')
LOWER = ('ankle', 'knee', 'hip')
SIDES = dict(left='right', right='left')
NAMES = [
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck',
    'head_top',
]  # fmt: skip
LSP_NAME, EXTENDED_NAME = 'im{:04d}.jpg', 'im{:05d}.jpg'


def people(number: int, seed: int = 0) -> np.ndarray:
    """(N, 14, 3) whose third value is 0 or 1."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(10, 110, (number, 14, 2))
    return np.concatenate([xy, rng.integers(0, 2, (number, 14, 1))], axis=2)


def write(root: Path, joints: np.ndarray, extended: bool, images: int | None = None) -> Path:
    """Write a data set; ``joints`` (N, 14, 3)."""
    (root / 'images').mkdir(parents=True)
    layout = joints.transpose(1, 2, 0) if extended else joints.transpose(2, 1, 0)
    savemat(root / 'joints.mat', {'joints': layout})
    name = EXTENDED_NAME if extended else LSP_NAME
    picture = np.full((120, 120, 3), 90, np.uint8)
    for number in range(len(joints) if images is None else images):
        cv2.imwrite(str(root / 'images' / name.format(number + 1)), picture)
    return root


def dataset(root: Path, **options) -> LSPDataset:
    return LSPDataset('joints.mat', data_root=str(root), data_prefix=dict(img='images'), **options)


# --- what the files say -----------------------------------------------------------------------


@needs_real
def test_the_third_value_of_lsp_says_occluded_and_of_the_extended_set_labelled():
    joints, extended = read_joints(str(REAL / 'lsp_joints.mat'))
    assert joints.shape == (2000, 14, 3) and not extended
    flag = joints[..., 2] == 1
    assert flag.sum() == 2044  # few, as occluded joints are, and among the others
    spread = [joints[..., :2][chosen] for chosen in (flag, ~flag)]
    assert (spread[0] > 0).all()
    middles = [points.mean(axis=0) for points in spread]
    np.testing.assert_allclose(*middles, atol=60)  # in images of up to 1,024 pixels

    joints, extended = read_joints(str(REAL / 'lspet_joints.mat'))
    assert joints.shape == (10000, 14, 3) and extended
    flag = joints[..., 2] == 1
    assert (~flag).sum() == 16787  # no place in the image: none has a positive coordinate
    assert (joints[..., :2][~flag] <= 0).all()
    assert (joints[..., :2][flag] < 0).any(axis=1).sum() == 6


@needs_real
@pytest.mark.parametrize(('name', 'share'), [('lsp', 0.6), ('lspet', 0.55)])
def test_left_and_right_are_the_persons(name, share):
    """Who shows the back has the right shoulder at the right; in the image's order nobody has."""
    joints, _ = read_joints(str(REAL / f'{name}_joints.mat'))
    joints = joints[(joints[..., 2] == 1).all(axis=1)] if name == 'lspet' else joints
    x = joints[..., 0]
    facing = x[:, NAMES.index('right_shoulder')] < x[:, NAMES.index('left_shoulder')]
    hips = x[:, NAMES.index('right_hip')] < x[:, NAMES.index('left_hip')]
    assert share < facing.mean() < 0.7
    assert (facing == hips).mean() > 0.75


@needs_real
def test_the_neck_is_mpiis_upper_neck():
    """By its height above the middle of the shoulders, in torsos; MPII's numbers are measured."""
    csv = REAL.parent / 'mpii/joints_train.csv'
    mpii = np.loadtxt(csv, delimiter=',', usecols=range(1, 33)).reshape(-1, 16, 2)

    def height(points: np.ndarray, joint: int, corners: list[int]) -> float:
        shoulders, hips = points[:, corners[:2]].mean(axis=1), points[:, corners[2:]].mean(axis=1)
        up = shoulders - hips
        return float(np.median(((points[:, joint] - shoulders) * up).sum(1) / (up**2).sum(1)))

    thorax, upper_neck = (height(mpii, joint, [12, 13, 2, 3]) for joint in (7, 8))
    assert thorax == pytest.approx(0, abs=0.01) and upper_neck == pytest.approx(0.12, abs=0.01)
    for name in ('lsp', 'lspet'):
        joints, _ = read_joints(str(REAL / f'{name}_joints.mat'))
        joints = joints[(joints[..., 2] == 1).all(axis=1)] if name == 'lspet' else joints
        neck = height(joints[..., :2], 12, [8, 9, 2, 3])
        assert abs(neck - upper_neck) < abs(neck - thorax)
    assert dict(LSP_TO_MPII)[12] == 8


@needs_real
@pytest.mark.parametrize(
    ('name', 'split', 'first', 'number'),
    [('lsp', 'train', 0, 1000), ('lsp', 'test', 1000, 1000), ('lspet', 'train', 0, 10000)],
)
@pytest.mark.slow
def test_the_real_annotations_are_read_as_they_are(tmp_path, name, split, first, number):
    source = loadmat(REAL / f'{name}_joints.mat')['joints']
    (tmp_path / 'images').mkdir()
    file_name = EXTENDED_NAME if name == 'lspet' else LSP_NAME
    for index in range(first, first + number):
        (tmp_path / 'images' / file_name.format(index + 1)).touch()
    persons = LSPDataset(
        str(REAL / f'{name}_joints.mat'), split, data_root=str(tmp_path),
        data_prefix=dict(img='images'),
    )  # fmt: skip
    assert len(persons) == number
    for index in (0, 1, number // 2, number - 1):
        person, place = persons[index], first + index
        assert person['img_path'] == str(tmp_path / 'images' / file_name.format(place + 1))
        assert person['img_id'] == place + 1
        x, y, third = source[:, :, place] if name == 'lsp' else source[:, :, place].T
        labelled = np.ones(14, bool) if name == 'lsp' else third == 1
        assert np.array_equal(person['keypoints_visible'][0], labelled)
        points = np.stack([x, y], axis=1)[labelled]
        np.testing.assert_allclose(person['keypoints'][0][labelled], points, rtol=1e-6)
        assert not person['keypoints'][0][~labelled].any()
        left, top, right, bottom = person['bbox'][0]
        assert (points > [left, top]).all() and (points < [right, bottom]).all()
        if name == 'lsp':
            assert person['raw_ann_info']['occluded'] == (third == 1).tolist()
        else:
            assert 'raw_ann_info' not in person


# --- the data set -----------------------------------------------------------------------------


def test_a_person_by_hand(tmp_path):
    joints = people(2)
    joints[0, :, 0] = np.linspace(20, 60, 14)
    joints[0, :, 1] = np.linspace(110, 30, 14)
    joints[0, :, 2] = [1, 1, *[0] * 12]
    person = dataset(write(tmp_path, joints, False))[0]
    np.testing.assert_allclose(person['bbox_center'], [[40, 70]], rtol=1e-6)
    np.testing.assert_allclose(person['bbox_scale'], [[92, 92]], rtol=1e-6)  # 1.15·80
    np.testing.assert_allclose(person['bbox'], [[-6, 24, 86, 116]], rtol=1e-6)
    assert person['keypoints_visible'].tolist() == [[1] * 14]
    assert person['raw_ann_info'] == {'occluded': [True, True, *[False] * 12]}

    joints[0, 2:, 2] = 1
    joints[0, :2] = [[-50, 0, 0], [0, -70, 0]]  # not labelled
    person = dataset(write(tmp_path / 'extended', joints, True))[0]
    x, y = joints[0, 2:, 0], joints[0, 2:, 1]
    np.testing.assert_allclose(person['bbox_center'], [[(x[0] + 60) / 2, (y[0] + 30) / 2]])
    np.testing.assert_allclose(person['bbox_scale'], 1.15 * (y[0] - 30), rtol=1e-6)
    assert person['keypoints_visible'].tolist() == [[0, 0, *[1] * 12]]
    assert person['num_keypoints'] == 12


@pytest.mark.parametrize(
    ('extended', 'split', 'ids'),
    [
        (False, 'train', [1, 2]), (False, 'test', [3, 4, 5]), (False, 'all', [1, 2, 3, 4, 5]),
        (True, 'train', [1, 2, 3, 4, 5]), (True, 'all', [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_splits(tmp_path, extended, split, ids):
    joints = people(5)
    joints[..., 2] = 1
    persons = dataset(write(tmp_path, joints, extended), split=split)
    assert [person['img_id'] for person in persons] == ids
    for person in persons:
        expected = joints[person['img_id'] - 1, :, :2]
        np.testing.assert_allclose(person['keypoints'][0], expected, rtol=1e-6)


@pytest.mark.slow
def test_the_arguments_of_the_base_class_work(tmp_path):
    root = write(tmp_path, people(9), True)
    assert [p['img_id'] for p in dataset(root, sample_interval=4)] == [1, 5, 9]
    assert [p['img_id'] for p in dataset(root, indices=2)] == [1, 2]
    bottomup = dataset(root, data_mode='bottomup')
    assert len(bottomup) == 9 and bottomup[3]['keypoints'].shape == (1, 14, 2)
    config = dict(type='hsjp_mm.LSPDataset', ann_file=str(root / 'joints.mat'))
    built = DATASETS.build({**config, 'data_prefix': dict(img=str(root / 'images'))})
    assert len(built) == 9


def test_metainfo():
    meta = LSPDataset('none.mat', lazy_init=True).metainfo
    assert [meta['keypoint_id2name'][i] for i in range(14)] == NAMES
    for index, name in enumerate(NAMES):
        other = NAMES[meta['flip_indices'][index]]
        assert {name, other} == {name, re.sub('left|right', lambda m: SIDES[m[0]], name)}
        lower = name.split('_')[-1] in LOWER
        assert (index in meta['lower_body_ids']) == lower
        assert (index in meta['upper_body_ids']) != lower
    mpii = DATASETS.build(dict(type='MpiiDataset', lazy_init=True)).metainfo
    for lsp, index in LSP_TO_MPII:
        name = mpii['keypoint_id2name'][index]
        assert NAMES[lsp] == ('neck' if name == 'upper_neck' else name)
        assert meta['sigmas'][lsp] == mpii['sigmas'][index]
        assert meta['dataset_keypoint_weights'][lsp] == mpii['dataset_keypoint_weights'][index]


def test_with_mpii_in_one_training_set(tmp_path):
    """Both through stock parts: the converter, CombinedDataset, flip, crop and targets."""
    joints = people(2)
    joints[..., 2] = 1
    joints[1, 3, 2] = 0  # left hip, not labelled
    root = write(tmp_path, joints, True)
    codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)

    def combined(flip: float) -> CombinedDataset:
        converter = dict(type='KeypointConverter', num_keypoints=16, mapping=LSP_TO_MPII)
        return CombinedDataset(
            metainfo=dict(from_file='configs/_base_/datasets/mpii.py'),
            datasets=[
                dict(
                    type='hsjp_mm.LSPDataset', ann_file=str(root / 'joints.mat'),
                    data_prefix=dict(img=str(root / 'images')), pipeline=[converter],
                ),
            ],
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='RandomFlip', prob=flip),
                dict(type='TopdownAffine', input_size=(64, 64)),
                dict(type='GenerateTarget', encoder=codec),
                dict(type='PackPoseInputs', pack_transformed=True),
            ],
        )  # fmt: skip

    for flip in (0.0, 1.0):
        persons = combined(flip)
        for index in range(len(persons)):
            sample = persons[index]['data_samples']
            weights = sample.gt_instance_labels.keypoint_weights[0].numpy()
            labelled = np.zeros(16, bool)
            labelled[list(MPII_OF_LSP)] = joints[index, :, 2] == 1
            expected = np.zeros((16, 2))
            expected[list(MPII_OF_LSP)] = joints[index, :, :2]
            if flip:
                order = sample.flip_indices
                labelled, expected = labelled[order], expected[order] * [-1, 1] + [119, 0]
            assert not weights[[6, 7]].any()  # pelvis and thorax
            assert np.array_equal(weights > 0, labelled)
            zoom = 64 / sample.input_scale
            points = (expected - sample.input_center) * zoom + 32
            found = sample.gt_instances.transformed_keypoints[0]
            np.testing.assert_allclose(found[labelled], points[labelled], atol=1e-3)
            peaks = sample.gt_fields.heatmaps.numpy().reshape(16, -1).argmax(axis=1)
            cells = np.stack([peaks % 16, peaks // 16], axis=1)
            assert np.abs(cells - points / 4)[labelled].max() < 0.51


# --- errors -----------------------------------------------------------------------------------


def test_a_missing_annotation_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ann_file='.*joints\.mat' does not exist"):
        dataset(tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(joints=np.zeros((3, 16, 5))), r"\(3, 14, N\), LSP, or .*'joints' is \(3, 16, 5\)"),
        (dict(joints=np.zeros((14, 3))), r"'joints' is \(14, 3\)"),
        (dict(points=np.zeros((3, 14, 2))), "'joints' is not in it"),
        (dict(joints=np.full((3, 14, 2), 0.5)), 'third values 0 or 1'),
        (dict(joints=np.full((14, 3, 2), np.nan)), 'coordinates must be finite'),
    ],
)
def test_files_that_are_no_such_annotation(tmp_path, content, message):
    savemat(tmp_path / 'joints.mat', content)
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path)


def test_a_file_that_is_no_mat_file(tmp_path):
    (tmp_path / 'joints.mat').write_text('no such thing, but long enough to have a header ' * 9)
    with pytest.raises(ValueError, match='cannot be read as a'):
        dataset(tmp_path)


def test_missing_images_are_counted_before_training(tmp_path):
    root = write(tmp_path, people(8), False, images=5)
    assert len(dataset(root)) == 4
    with pytest.raises(FileNotFoundError, match=r"3 of the 4 images of split='test' .*im0006\.jpg"):
        dataset(root, split='test')


def test_other_splits(tmp_path):
    with pytest.raises(ValueError, match="split='val' must be one of train, test, all"):
        dataset(tmp_path, split='val')
    root = write(tmp_path, people(2), True)
    with pytest.raises(ValueError, match=r"split='test': .* is LSP extended"):
        dataset(root, split='test')


def test_a_person_without_extent(tmp_path):
    joints = people(2)
    joints[1, :, 2] = 0
    with pytest.raises(ValueError, match=r'im00002\.jpg: its labelled joints are all in one place'):
        dataset(write(tmp_path, joints, True))


# --- as COCO-format JSON ------------------------------------------------------------------------


@pytest.mark.parametrize('extended', [False, True])
def test_the_json_says_what_the_data_set_says(tmp_path, extended):
    joints = people(6, seed=3)
    joints[:, 0, 2], joints[:, 5, 2] = 1, 1
    # with its margin this box leaves the image
    joints[2, 0, :2], joints[2, 5, :2] = (1, 2), (117, 118)
    root = write(tmp_path, joints, extended)
    content = to_coco(str(root / 'joints.mat'), str(root / 'images'), 2, 5)
    (root / 'lsp.json').write_text(json.dumps(content))
    told = [person for person in dataset(root, split='all') if 2 <= person['img_id'] <= 5]
    [category] = content['categories']
    assert category['keypoints'] == NAMES

    given = dict(data_root=str(root), ann_file='lsp.json', data_prefix=dict(img='images'))
    coco = CocoDataset(**given, metainfo=LSPDataset.METAINFO)
    crops = PersonCropDataset(**given)
    assert len(coco) == len(crops) == len(told) == 4
    for person, labelled, crop in zip(told, coco, crops, strict=True):
        assert person['img_path'] == labelled['img_path'] == crop['img_path']
        shown = labelled['keypoints_visible'] > 0
        assert np.array_equal(shown, person['keypoints_visible'] > 0)
        np.testing.assert_allclose(
            labelled['keypoints'][shown], person['keypoints'][shown], atol=0.005
        )
        box = np.clip(person['bbox'], 0, 120)
        np.testing.assert_allclose(crop['bbox'], box, atol=0.02)
        # stock cuts boxes off a pixel before the edge
        np.testing.assert_allclose(labelled['bbox'], np.minimum(box, 119), atol=0.02)
    third = joints[1:5, :, 2].astype(int)
    visibility = [annotation['keypoints'][2::3] for annotation in content['annotations']]
    assert np.array_equal(visibility, 2 * third if extended else 2 - third)
    assert (content['images'][0]['id'], content['images'][0]['width']) == (2, 120)


@pytest.mark.parametrize(('first', 'last'), [(0, 2), (3, 2), (1, 4)])
def test_numbers_that_are_not_there(tmp_path, first, last):
    root = write(tmp_path, people(3), extended=True)
    with pytest.raises(ValueError, match=rf'first={first} and last={last} must be .* <= 3, the'):
        to_coco(str(root / 'joints.mat'), str(root / 'images'), first, last)


def test_only_the_images_asked_for_have_to_be_there(tmp_path):
    root = write(tmp_path, people(4), extended=True, images=2)
    joints, images = str(root / 'joints.mat'), str(root / 'images')
    assert len(to_coco(joints, images, last=2)['images']) == 2
    with pytest.raises(FileNotFoundError, match='1 of the 2 images of numbers 2 to 3 do not exist'):
        to_coco(joints, images, 2, 3)
