import json

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.transforms import GetBBoxCenterScale, RandomFlip, TopdownAffine
from pycocotools import mask as coco_mask

from hsjp_mm.datasets import MakeViews, PackViews, PersonCropDataset, SegmentCrop, set_segments
from hsjp_mm.datasets.transforms.segments import read_segmentation
from hsjp_mm.ops.seeds import seed_generators
from tests.helpers import SHARED

WIDTH, HEIGHT = 200, 150
OUTLINE = [60, 40, 110, 50, 100, 110, 70, 120]  # a quadrangle in the box
BOX = (50.0, 30, 130, 120)


def sample(**keys) -> dict:
    image = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    bbox = np.array([BOX])
    return GetBBoxCenterScale()(
        {'img': image, 'id': 5, 'bbox': bbox, 'bbox_score': np.ones(1), **keys}
    )


def annotated(**keys) -> dict:
    left, top, right, bottom = BOX
    box = [left, top, right - left, bottom - top]
    return sample(raw_ann_info={'bbox': box, **keys})


def crop(results: dict, **segments) -> dict:
    return SegmentCrop(segments)(results)


# -------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize('size', [(96, 96), (96, 128), (160, 64)])
def test_the_map_covers_the_stock_crop(size):
    stock = TopdownAffine(input_size=size)(sample())
    made = crop(sample(), method='grid', size=size)
    assert made['segments'].shape == (size[1], size[0])
    moved = cv2.warpAffine(sample()['img'], made['segments_matrix'], size)
    np.testing.assert_array_equal(moved, stock['img'])


def test_a_whole_view_has_the_segments_of_the_map():
    made = crop(sample(), method='grid', size=(96, 128))
    views = [dict(size=(96, 128), area=(1.0, 1.0), ratio=(1.0, 1.0))]
    moved = MakeViews(views)(made)
    np.testing.assert_array_equal(moved['view_segments'][0], made['segments'])


def test_borders_stay_with_the_content_in_turned_flipped_and_stretched_views():
    """The quadrangle is painted white: in each view it is where its segment says."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.fillPoly(image, [np.array(OUTLINE).reshape(-1, 2)], (255, 255, 255))
    results = {**annotated(segmentation=[OUTLINE]), 'img': image}
    made = crop(results, method='annotation', size=(192, 256))
    views = [
        dict(size=(96, 128), num=6, area=(0.3, 1.0), rotate=60.0, flip_prob=0.5),
        dict(size=(96, 128), num=4, side=(0.7, 1.2), shift=0.2, rotate=60.0, flip_prob=0.5),
    ]
    seed_generators(1)
    moved = MakeViews(views)(made)
    flips = {bool(np.linalg.det(matrix[:, :2]) < 0) for matrix in moved['view_matrices']}
    assert flips == {True, False}
    for view, segments in zip(moved['img'], moved['view_segments'], strict=True):
        painted = view[..., 0] > 127
        assert painted.sum() > 500
        inside = segments == 1
        # but for a line of pixels along the border
        assert (painted != inside).sum() < 4 * np.sqrt(painted.sum())
        eroded = cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0
        assert painted[eroded].all()
        assert not painted[cv2.dilate(inside.astype(np.uint8), np.ones((5, 5))) == 0].any()


# --------------------------------------------------------------------------------------- methods


def test_cells_of_a_grid_by_hand():
    made = crop(sample(), method='grid', size=(6, 4), grid=2)
    assert made['segments'].tolist() == 2 * [[0, 0, 0, 1, 1, 1]] + 2 * [[2, 2, 2, 3, 3, 3]]
    assert crop(sample(), method='grid', size=(50, 70))['segments'].max() == 15


@pytest.mark.parametrize('size', [(224, 224), (96, 128)])
def test_felzenszwalb_finds_four_plain_areas(size):
    """Whatever the size of the map, for its numbers are in proportion to the area."""
    pytest.importorskip('skimage')
    results = sample()
    left, top, right, bottom = map(int, BOX)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (240, 240, 240)]
    middle = (left + right) // 2, (top + bottom) // 2
    corners = [(0, 0), (middle[0], 0), (0, middle[1]), middle]
    for (x, y), color in zip(corners, colors, strict=True):
        image[y:, x:] = color
    made = crop({**results, 'img': image}, method='felzenszwalb', size=size)
    segments, (width, height) = made['segments'], size
    assert segments.min() == 0
    found = [
        segments[y, x] for y in (height // 3, 2 * height // 3) for x in (width // 3, 2 * width // 3)
    ]
    assert len(set(found)) == 4
    _, pixels = np.unique(segments, return_counts=True)
    assert pixels.min() >= round(1000 * width * height / 224**2)


def test_felzenszwalb_is_scikit_images_on_the_crop():
    segmentation = pytest.importorskip('skimage.segmentation')
    size = (112, 224)  # half the area for which the numbers are stated
    results = {**sample(), 'img': cv2.GaussianBlur(sample()['img'], (0, 0), 8)}
    stock = TopdownAffine(input_size=size)({**results})['img']
    expected = segmentation.felzenszwalb(stock[..., ::-1], scale=50, min_size=100)
    made = crop(results, method='felzenszwalb', size=size, scale=100, min_size=200)
    assert made['segments'].max() > 3
    np.testing.assert_array_equal(made['segments'], expected)


@pytest.mark.parametrize('form', ['polygons', 'runs', 'packed runs', 'packed text'])
def test_an_annotated_person_in_every_form_of_coco(form):
    packed = coco_mask.merge(coco_mask.frPyObjects([OUTLINE], HEIGHT, WIDTH))
    mask = coco_mask.decode(packed)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel()])))
    runs = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    segmentation = {
        'polygons': [OUTLINE],
        'runs': {'size': [HEIGHT, WIDTH], 'counts': runs},
        'packed runs': packed,
        'packed text': {**packed, 'counts': packed['counts'].decode()},
    }[form]
    made = crop(annotated(segmentation=segmentation), method='annotation', size=(90, 100))
    expected = cv2.warpAffine(mask, made['segments_matrix'], (90, 100), flags=cv2.INTER_NEAREST)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(made['segments'], expected)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('method', ['annotation', 'parts'])
def test_masks_go_with_the_stock_flip(method, direction):
    """The map of a flipped sample is that of the sample, flipped as its crop is."""
    mask = np.zeros((256, 256), np.uint8)
    mask[192:, :128] = 1
    part = coco_mask.encode(np.asfortranarray(mask))
    labels = dict(segmentation=[OUTLINE], dp_masks=[part])

    def made(flip: bool) -> np.ndarray:
        results = {**annotated(**labels), 'img_shape': (HEIGHT, WIDTH)}
        if flip:
            results = RandomFlip(prob=1.0, direction=direction).transform(results)
        return crop(results, method=method, size=(80, 90))['segments']

    axes = {'horizontal': 1, 'vertical': 0, 'diagonal': (0, 1)}[direction]
    plain, flipped = made(False), made(True)
    assert 0.05 < (plain == 1).mean() < 0.5
    assert (np.flip(plain, axes) != flipped).mean() < 0.05  # of a pixel along the border
    assert (plain != flipped).mean() > 0.05


def test_parts_of_plain_run_lengths_are_those_of_packed_ones():
    counts = [256 * 128 + 192, 64, *[192, 64] * 127]  # by columns: the lower quarter at the right
    plain = {'size': [256, 256], 'counts': counts}
    packed = coco_mask.frPyObjects(plain, 256, 256)
    one, other = (crop(annotated(dp_masks=[mask]), method='parts') for mask in (plain, packed))
    assert one['segments'].any()
    np.testing.assert_array_equal(one['segments'], other['segments'])


def test_parts_lie_in_the_frame_of_the_box():
    """A part over the left half of the box's lower quarter, and one that is not seen."""
    mask = np.zeros((256, 256), np.uint8)
    mask[192:, :128] = 1
    packed = coco_mask.encode(np.asfortranarray(mask))
    masks = [[] for _ in range(14)]
    masks[4] = {**packed, 'counts': packed['counts'].decode()}
    made = crop(annotated(dp_masks=masks), method='parts', size=(80, 90))
    # a map of a box with a padding of a quarter is a pixel for each of 80 × 90
    left, top, right, bottom = BOX
    corners = np.array([[left, top + 3 / 4 * (bottom - top)], [(left + right) / 2, bottom]]) - 0.5
    low, high = corners @ made['segments_matrix'][:, :2].T + made['segments_matrix'][:, 2]
    y, x = np.mgrid[:90, :80]
    inside = (low[0] < x) & (x < high[0]) & (low[1] < y) & (y < high[1])
    edge = np.minimum(abs(x - low[0]), abs(x - high[0])) < 1
    edge |= np.minimum(abs(y - low[1]), abs(y - high[1])) < 1
    assert set(np.unique(made['segments'])) == {0, 5}
    np.testing.assert_array_equal(made['segments'][~edge] == 5, inside[~edge])
    assert inside.sum() > 300


# ----------------------------------------------------------------------------------- data sets


PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.SegmentCrop', segments=dict(method='annotation', size=(48, 64))),
    dict(type='hsjp_mm.MakeViews', views=[dict(size=(48, 64), area=(1, 1), ratio=(1, 1))]),
    dict(type='hsjp_mm.PackViews'),
]


@pytest.mark.parametrize('cls', [PersonCropDataset, CocoDataset])
def test_annotated_segments_of_both_kinds_of_data_set(cls, painted_persons):
    """The labelled person is painted cyan, and its segmentation is its box."""
    keys = {'annotation_keys': ['segmentation']} if cls is PersonCropDataset else {}
    dataset = cls(
        data_root=str(painted_persons),
        ann_file='persons.json',
        data_prefix=dict(img=''),
        pipeline=PIPELINE,
        **keys,
    )
    index = next(i for i in range(len(dataset)) if dataset.get_data_info(i)['id'] == 3)
    packed = dataset[index]
    segments = packed['data_samples'].gt_fields.view_segments[0].numpy()
    cyan = packed['inputs'][0][0].numpy() > 127
    assert cyan.mean() > 0.2
    assert ((segments == 1) != cyan).mean() < 0.05


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is absent')
def test_real_persons_fill_their_boxes():
    folder = SHARED / 'coco_mini'
    dataset = PersonCropDataset(
        str(folder / 'annotations/instances_val2017.json'),
        data_prefix=dict(img=str(folder / 'val2017')),
        annotation_keys=['segmentation'],
        min_size=32,
        pipeline=PIPELINE,
    )
    annotations = json.loads((folder / 'annotations/instances_val2017.json').read_text())
    areas = {a['id']: a['area'] for a in annotations['annotations']}
    for i in range(0, len(dataset), 7):
        packed = dataset[i]
        matrix = packed['data_samples'].gt_instances.view_matrices[0, 0].numpy()
        share = (packed['data_samples'].gt_fields.view_segments[0].numpy() == 1).sum()
        area = share / abs(np.linalg.det(matrix[:, :2]))
        assert area == pytest.approx(areas[dataset.get_data_info(i)['id']], rel=0.1)


# -------------------------------------------------------------------------------------- mistakes


def test_segments_are_the_models():
    dataset = type('Data', (), {'pipeline': Compose([SegmentCrop()])})()
    assert set_segments(dataset, dict(method='grid', size=[6, 4])) == 1
    assert dataset.pipeline(sample())['segments'].shape == (4, 6)
    stating = type('Data', (), {'pipeline': Compose([SegmentCrop(dict(method='grid'))])})()
    with pytest.raises(ValueError, match=r'model\.segments'):
        set_segments(stating, dict(method='grid'))
    with pytest.raises(RuntimeError, match='PrepareDataHook'):
        SegmentCrop()(sample())


@pytest.mark.parametrize(
    ('segments', 'message'),
    [
        (dict(method='slic'), "method='slic' must be one of felzenszwalb, grid"),
        (dict(scale=5), 'no method; known are method, size'),
        (dict(method='grid', cells=3), 'unknown cells; known are'),
        (dict(method='grid', size=(0, 5)), r'size=\(0, 5\)'),
        (dict(method='grid', grid=0), 'grid=0'),
        (dict(method='grid', grid=9, size=(8, 20)), 'grid=9 must be from 1'),
        (dict(method='felzenszwalb', scale=0), 'scale=0 must be positive'),
        (dict(method='felzenszwalb', min_size=-1), 'min_size=-1 at least 0'),
    ],
)
def test_wrong_segments_are_refused(segments, message):
    with pytest.raises(ValueError, match=message):
        read_segmentation(segments)


@pytest.mark.parametrize(('method', 'key'), [('annotation', 'segmentation'), ('parts', 'dp_masks')])
def test_without_its_annotation_a_person_is_refused(method, key):
    empty = [[]] if method == 'annotation' else []
    for results in (sample(), annotated(), annotated(**{key: empty})):
        with pytest.raises(ValueError, match=rf"'{key}'.*instance 5.*annotation_keys=\['{key}'\]"):
            crop(results, method=method)


def test_a_mask_of_another_image_is_refused():
    packed = coco_mask.merge(coco_mask.frPyObjects([OUTLINE], WIDTH, HEIGHT))
    with pytest.raises(ValueError, match=r'instance 5: its mask has height and width \(200, 150\)'):
        crop(annotated(segmentation=packed), method='annotation')


def test_several_sizes_and_segments_do_not_pack():
    made = crop(sample(), method='grid', size=(64, 64))
    views = [dict(size=(64, 64), area=(1, 1)), dict(size=(32, 32), area=(1, 1))]
    with pytest.raises(ValueError, match='views of one size'):
        PackViews()(MakeViews(views)(made))
