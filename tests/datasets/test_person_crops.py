import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from hsjp_mm.datasets import PersonCropDataset
from hsjp_mm.datasets.image_files import UnreadableImageError, turn_boxes, turned_size
from tests import helpers
from tests.helpers import SHARED, damage_middle

COCO_MINI = SHARED / 'coco_mini'
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(32, 32)),
    dict(type='PackPoseInputs'),
]


@pytest.fixture
def load(tiny_coco):
    """A function that opens the tiny data set, with other arguments."""

    def open_it(**options) -> PersonCropDataset:
        options = {'ann_file': 'boxes.json', 'data_prefix': {'img': 'images'}, **options}
        return PersonCropDataset(**{'data_root': str(tiny_coco), **options})

    return open_it


def ids(dataset: PersonCropDataset) -> list:
    return [dataset.get_data_info(i)['id'] for i in range(len(dataset))]


def write_json(path: Path, content) -> str:
    path.write_text(json.dumps(content))
    return str(path)


# -------------------------------------------------------------------------------------- sources


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='../shared/data/coco_mini is absent')
@pytest.mark.parametrize(
    ('part', 'category'), [('train', 'person'), ('val', 'person'), ('val', 'car')]
)
def test_real_coco_every_box_but_crowds(part, category):
    path = COCO_MINI / f'annotations/instances_{part}2017.json'
    coco = json.loads(path.read_text())
    number = next(c['id'] for c in coco['categories'] if c['name'] == category)
    expected = [a for a in coco['annotations'] if a['category_id'] == number and not a['iscrowd']]
    dataset = PersonCropDataset(
        str(path),
        data_prefix={'img': str(COCO_MINI / f'{part}2017')},
        category_names=[category],
        pipeline=PIPELINE,
    )
    assert ids(dataset) == [a['id'] for a in expected]
    assert len(dataset) == {'train': 167, 'val': 117}[part] or category == 'car'
    without = sum(a.get('num_keypoints', 0) == 0 for a in expected)
    assert without > 40 or category == 'car'
    for i in (0, len(dataset) // 2, -1):
        assert dataset[i]['inputs'].float().std() > 5


def test_every_person_with_and_without_keypoints(load):
    dataset = load()
    assert ids(dataset) == [11, 12, 14, 15, 19, 20]
    assert dataset.get_data_info(1)['img_path'].endswith('images/1.png')
    assert dataset.get_data_info(4)['img_id'] == 3


def test_boxes_are_clipped_to_their_image(load):
    boxes = {info['id']: info['bbox'].tolist() for info in map(load().get_data_info, range(6))}
    assert boxes[14] == [[0, 30, 50, 80]]
    assert boxes[11] == [[10, 5, 50, 65]]


@pytest.mark.slow
def test_min_size_holds_for_both_sides_after_clipping(load):
    assert ids(load(min_size=0.5)) == [11, 12, 14, 15, 16, 19, 20]
    assert ids(load(min_size=9)) == [11, 12, 14, 15, 19]  # 20 is 9 wide and 8 high
    assert ids(load(min_size=41)) == [12, 14, 15, 19]
    assert ids(load(min_size=51)) == [15]  # of 14, 60 wide and 80 high, 50×50 are in the image


def test_other_categories(load):
    assert ids(load(category_names=['dog'])) == [17]
    assert ids(load(category_names=('dog', 'person'), min_size=30)) == [11, 12, 14, 15, 17, 19]


def test_what_was_left_out_is_logged(load, log_file):
    load(min_size=10)
    assert '5 of 10 boxes' in log_file.read_text()
    assert '1 of other categories, 1 crowd regions, 3 below min_size' in log_file.read_text()


def detections(*rows) -> list[dict]:
    """Rows of image id, category id, score, box."""
    names = ('image_id', 'category_id', 'score', 'bbox')
    return [dict(zip(names, row, strict=True)) for row in rows]


BOXES = detections(
    (1, 1, 0.9, [5, 5, 50, 50]),
    (2, 18, 0.9, [5, 5, 50, 50]),
    (3, 1, 0.3, [5, 5, 50, 90]),
    (3, 1, 0.29, [5, 5, 40, 40]),
    (99, 1, 0.8, [5, 5, 40, 40]),
    (2, 1, 0.5, [10, 20, 40, 40]),
)


def test_boxes_of_a_detector(load, tmp_path, log_file):
    path = write_json(tmp_path / 'boxes.json', BOXES)
    dataset = load(bbox_file=path, score_thr=0.3)
    assert ids(dataset) == [0, 2, 5]  # their places in the file
    infos = list(map(dataset.get_data_info, range(3)))
    assert [info['img_id'] for info in infos] == [1, 3, 2]
    assert [info['bbox_score'].item() for info in infos] == pytest.approx([0.9, 0.3, 0.5])
    assert infos[1]['bbox'].tolist() == [[5, 5, 55, 64]]
    assert '1 below score_thr' in log_file.read_text()
    assert '1 of images not in ann_file' in log_file.read_text()
    assert len(load(bbox_file=path)) == 4


def test_a_folder_of_images(tmp_path):
    sizes = {'b.png': (30, 20), 'a/c.JPG': (10, 40), 'a/b.bmp': (8, 9)}
    for name, (width, height) in sizes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((height, width, 3), 99, np.uint8))
    (tmp_path / 'a/notes.txt').write_text('not an image')
    dataset = PersonCropDataset(data_prefix={'img': str(tmp_path)}, pipeline=PIPELINE)
    assert ids(dataset) == ['a/b.bmp', 'a/c.JPG', 'b.png']
    for i, name in enumerate(ids(dataset)):
        width, height = sizes[name]
        instances = dataset[i]['data_samples'].gt_instances
        assert instances.bboxes.tolist() == [[0, 0, width, height]]
        assert instances.bbox_scores.tolist() == [1]


def test_a_list_of_images(tiny_coco, tmp_path):
    names = ['3.png', '1.png', str(tiny_coco / 'images/2.png')]
    (tmp_path / 'list.txt').write_text('\n'.join([*names[:2], '', f'  {names[2]}', '']))
    dataset = PersonCropDataset(
        image_list=str(tmp_path / 'list.txt'),
        data_root=str(tiny_coco),
        data_prefix={'img': 'images'},
        pipeline=PIPELINE,
    )
    assert ids(dataset) == names
    boxes = [dataset[i]['data_samples'].gt_instances.bboxes.tolist() for i in range(3)]
    assert boxes == [[[0, 0, 96, 64]], [[0, 0, 120, 80]], [[0, 0, 70, 100]]]


def test_a_sample_carries_id_box_center_scale_and_the_right_pixels(load, tiny_coco):
    dataset = load(pipeline=PIPELINE)
    sample = dataset[3]  # instance 15: x 5, y 5, 60 wide, 90 high, in image 2
    meta, instances = sample['data_samples'].metainfo, sample['data_samples'].gt_instances
    assert (meta['id'], meta['img_id'], meta['category_id']) == (15, 2, 1)
    assert meta['img_path'] == str(tiny_coco / 'images/2.png')
    assert instances.bboxes.tolist() == [[5, 5, 65, 95]]
    assert meta['input_center'].tolist() == [35, 50]
    assert meta['input_scale'].tolist() == [112.5, 112.5]  # 1.25 · 90, made square
    image = cv2.imread(str(tiny_coco / 'images/2.png'))
    step = 112.5 / 32
    for row, column in ((8, 12), (20, 14), (25, 20)):
        x, y = round(35 + (column - 16) * step), round(50 + (row - 16) * step)
        found = sample['inputs'][:, row, column].numpy().astype(float)
        assert np.abs(found - image[y, x]).max() < 30


# -------------------------------------------------------------------------------------- subsets


@pytest.fixture(scope='module')
def many(tmp_path_factory) -> dict:
    """200 boxes of one image."""
    root = tmp_path_factory.mktemp('many')
    cv2.imwrite(str(root / 'a.png'), np.zeros((50, 50, 3), np.uint8))
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'width': 50, 'height': 50}],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [
            {'id': i, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 20, 20]} for i in range(200)
        ],
    }
    return dict(ann_file=write_json(root / 'boxes.json', content), data_prefix={'img': str(root)})


@pytest.mark.slow
def test_subsets_are_reproducible_nested_and_in_order(many):
    small = ids(PersonCropDataset(**many, num_samples=20))
    large = ids(PersonCropDataset(**many, fraction=0.4))
    assert (len(small), len(large)) == (20, 80)
    assert small == sorted(small) and set(small) < set(large)
    assert ids(PersonCropDataset(**many, fraction=0.1)) == small
    other = ids(PersonCropDataset(**many, num_samples=20, seed=1))
    assert other != small and len(set(other)) == 20
    assert ids(PersonCropDataset(**many, fraction=1)) == list(range(200))
    assert len(PersonCropDataset(**many, fraction=0.001)) == 1
    # not the first ones: the mean of 80 of 200 numbers
    assert np.mean(large) == pytest.approx(99.5, abs=3 * 57.7 / 80**0.5)


def test_subsets_do_not_depend_on_the_order_of_the_file_or_on_new_boxes(many, tmp_path):
    content = json.loads(Path(many['ann_file']).read_text())
    small = set(ids(PersonCropDataset(**many, num_samples=20)))
    content['annotations'].reverse()
    turned = {**many, 'ann_file': write_json(tmp_path / 'turned.json', content)}
    assert set(ids(PersonCropDataset(**turned, num_samples=20))) == small
    content['annotations'].append({**content['annotations'][0], 'id': 200})
    more = {**many, 'ann_file': write_json(tmp_path / 'more.json', content)}
    assert len(small - set(ids(PersonCropDataset(**more, num_samples=20)))) <= 1


def test_an_image_that_a_list_names_twice_is_two_instances_of_a_subset(many, tmp_path):
    (tmp_path / 'list.txt').write_text('a.png\na.png\na.png\n')
    listed = dict(image_list=str(tmp_path / 'list.txt'), data_prefix=many['data_prefix'])
    assert ids(PersonCropDataset(**listed, num_samples=2)) == ['a.png', 'a.png']


# ---------------------------------------------------------------------------- a held-out share


@pytest.fixture
def album(tmp_path) -> dict:
    """40 images of 50×50 pixels, image i with i % 4 boxes and a dog, and a detector's boxes."""
    root = tmp_path / 'album'
    root.mkdir()
    images = [
        {'id': i, 'file_name': f'{i:02}.png', 'width': 50, 'height': 50} for i in range(1, 41)
    ]
    for image in images:
        cv2.imwrite(str(root / image['file_name']), np.full((50, 50, 3), image['id'], np.uint8))
    boxes = [
        {'id': 10 * i + n, 'image_id': i, 'category_id': 1, 'bbox': [0, 0, 20, 10 + 10 * n]}
        for i in range(1, 41)
        for n in range(i % 4)
    ]
    dogs = [
        {'id': 1000 + i, 'image_id': i, 'category_id': 18, 'bbox': [0, 0, 9, 9]}
        for i in range(1, 41)
    ]
    write_json(
        root / 'found.json',
        [{'score': 0.5, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'image_id': i} for i in range(41)],
    )
    (root / 'list.txt').write_text('\n'.join(image['file_name'] for image in images))
    categories = [{'id': 1, 'name': 'person'}, {'id': 18, 'name': 'dog'}]
    content = {'images': images, 'categories': categories, 'annotations': boxes + dogs}
    write_json(root / 'boxes.json', content)
    return dict(data_root=str(root), ann_file='boxes.json', pipeline=PIPELINE, held_out=0.1)


def photographs(dataset: PersonCropDataset) -> set[str]:
    return {Path(dataset.get_data_info(i)['img_path']).name for i in range(len(dataset))}


SOURCES = {
    'annotations': dict(),
    'dogs': dict(category_names=['dog']),
    'detections': dict(bbox_file='found.json'),
    'list': dict(ann_file='', image_list='list.txt', data_prefix=dict(img='')),
    'folder': dict(ann_file='', data_prefix=dict(img='')),
}


@pytest.mark.parametrize('source', SOURCES)
def test_the_held_out_share_and_the_rest_are_apart_and_together_all(album, source):
    album |= SOURCES[source]
    train, val = (PersonCropDataset(**album, part=part) for part in ('train', 'val'))
    both = PersonCropDataset(**{**album, 'held_out': None})
    assert not photographs(train) & photographs(val)
    assert sorted(ids(train) + ids(val)) == sorted(ids(both))
    if source != 'annotations':  # there a quarter of the images has no box
        assert len(photographs(val)) == 4
    assert val[0]['data_samples'].img_path.endswith(min(photographs(val)))


def test_the_same_images_are_held_out_of_every_source_and_whatever_is_taken_of_it(album):
    held_out = photographs(PersonCropDataset(**album, **SOURCES['dogs'], part='val'))
    assert held_out == photographs(PersonCropDataset(**{**album, **SOURCES['folder']}, part='val'))
    for options in (dict(), dict(min_size=15), dict(seed=7), dict(num_samples=2, seed=3)):
        val = PersonCropDataset(**album, **options, part='val')
        train = PersonCropDataset(**album, **options)
        assert photographs(val) <= held_out and not photographs(train) & held_out


@pytest.mark.slow
def test_a_subset_of_a_part(album):
    whole, half = (PersonCropDataset(**album, fraction=share) for share in (None, 0.5))
    assert len(half) == round(len(whole) / 2) and set(ids(half)) < set(ids(whole))
    assert len(PersonCropDataset(**album, num_samples=len(whole))) == len(whole)
    with pytest.raises(ValueError, match=r"from 1 to \d+, the instances of .*in part='train'"):
        PersonCropDataset(**album, num_samples=len(whole) + 1)


def test_an_image_named_twice_is_held_out_or_not(album):
    path = Path(album['data_root']) / 'boxes.json'
    content = json.loads(path.read_text())
    for image in content['images'][:20]:  # as image 21 to 40, under another spelling
        content['images'][image['id'] + 19]['file_name'] = f'./{image["file_name"]}'
    write_json(path, content)
    album['held_out'] = 0.5
    train, val = (PersonCropDataset(**album, part=part) for part in ('train', 'val'))
    assert len(photographs(train) | photographs(val)) > 10
    assert not photographs(train) & photographs(val)


def test_what_is_held_out_is_logged(album, log_file):
    PersonCropDataset(**{**album, **SOURCES['folder']}, part='val')
    assert "part='val' of held_out=0.1: 4 of 40 instances of" in log_file.read_text()
    assert '4 of 40 images are held out' in log_file.read_text()


def test_shares_that_round_to_nothing_or_to_everything_leave_an_image_on_each_side(album):
    album |= SOURCES['folder']
    for share in (0.001, 0.999):
        album['held_out'] = share
        sizes = [len(PersonCropDataset(**album, part=part)) for part in ('train', 'val')]
        assert sorted(sizes) == [1, 39]


def test_a_part_without_instances_and_a_single_image(load, many):
    with pytest.raises(ValueError, match=r'held_out=0\.5: .* has only one image'):
        PersonCropDataset(**many, held_out=0.5)
    parts = []
    for part in ('train', 'val'):
        try:
            parts.append(len(load(category_names=['dog'], held_out=0.3, part=part)))
        except ValueError as error:
            assert 'no instance is left' in str(error) and '0 of 1 instances' in str(error)
    assert parts == [1]  # the only dog is on one side


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(category_names=['cat']), r'has no cat; it has person, dog'),
        (dict(category_names=['person', 'cow', 'cat']), r'has no cow, cat; it has person, dog'),
        (dict(category_names=[]), r'has no category chosen; it has person, dog'),
        (dict(category_names='person'), r"category_names='person' must be a sequence"),
        (
            dict(min_size=90),
            r'no box is left, 0 of 10 .*boxes\.json; .* 8 below min_size .*min_size=90',
        ),
        (dict(min_size=0), 'min_size=0 pixels must be positive'),
        (dict(held_out=0.0), r'held_out=0\.0 must be in \(0, 1\)'),
        (dict(held_out=1), r'held_out=1 must be in \(0, 1\)'),
        (dict(held_out=0.1, part='test'), r"part='test' must be one of train, val"),
        (dict(part='val'), r"part='val' needs held_out"),
        (dict(fraction=0.0), r'fraction=0\.0 must be in \(0, 1\]'),
        (dict(fraction=1.5), r'fraction=1\.5 must be in \(0, 1\]'),
        (dict(num_samples=7), 'num_samples=7 must be from 1 to 6'),
        (dict(num_samples=2.5), r'num_samples=2\.5 must be a whole number'),
        (dict(num_samples='1'), "num_samples='1' must be a whole number"),
        (dict(min_size=float('nan')), 'min_size=nan pixels must be positive'),
        (dict(score_thr=float('nan')), 'score_thr=nan must be a finite number'),
        (dict(num_samples=0), 'num_samples=0 must be a whole number of at least 1'),
        (dict(num_samples=2, fraction=0.5), r'fraction=0\.5 or num_samples=2, not both'),
        (dict(image_list='a.txt'), r"image_list='a\.txt' or ann_file='boxes\.json', not both"),
        (dict(bbox_file='a.json', ann_file=''), r"bbox_file='a\.json' needs ann_file"),
    ],
)
def test_wrong_arguments(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(ann_file='no.json'), r"ann_file='.*no\.json' does not exist"),
        (dict(bbox_file='no.json'), r"bbox_file='.*no\.json' does not exist"),
        (dict(ann_file='', image_list='no.txt'), r"image_list='.*no\.txt' does not exist"),
        (dict(ann_file='', data_prefix={'img': 'no'}), r"data_prefix\['img'\]='.*no' is no folder"),
        (dict(ann_file='', data_prefix={'img': ''}, data_root=''), 'give ann_file'),
        (dict(data_prefix={'img': 'elsewhere'}), r'elsewhere/1\.png, does not exist: are'),
    ],
)
def test_missing_files(load, options, message):
    with pytest.raises(FileNotFoundError, match=message):
        load(**options)


def test_boxes_that_name_no_image_of_the_data_set(load, tmp_path):
    path = write_json(tmp_path / 'boxes.json', [dict(box, image_id=77) for box in BOXES])
    with pytest.raises(ValueError, match=r'0 of 6 .* 6 of images not in ann_file .*3 images in'):
        load(bbox_file=path)


def test_detections_below_the_threshold(load, tmp_path):
    path = write_json(tmp_path / 'boxes.json', BOXES)
    with pytest.raises(ValueError, match=r'4 below score_thr.*score_thr=0\.95'):
        load(bbox_file=path, score_thr=0.95)


def test_empty_folder_and_empty_list(tmp_path):
    (tmp_path / 'images').mkdir()
    with pytest.raises(ValueError, match=r'images holds no image \(\.jpg'):
        PersonCropDataset(data_prefix={'img': str(tmp_path / 'images')})
    (tmp_path / 'list.txt').write_text('\n')
    with pytest.raises(ValueError, match=r'list\.txt holds no image'):
        PersonCropDataset(image_list=str(tmp_path / 'list.txt'))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('[{"image_id": 1}]', "'images', 'categories' and 'annotations'; it holds list"),
        ('{"images": [], "licenses": []}', 'it holds keys images, licenses'),
        ('{"images": [', r"ann_file='.*' is no JSON: Expecting"),
    ],
)
def test_annotations_of_another_format(load, tmp_path, content, message):
    (tmp_path / 'other.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        load(ann_file=str(tmp_path / 'other.json'))


# ---------------------------------------------------------------------------- unreadable images


@pytest.fixture
def broken(load, tiny_coco, tmp_path):
    """A function that opens the tiny data set with image 2, which holds instance 15, damaged."""
    shutil.copytree(tiny_coco, tmp_path / 'copy')
    (tmp_path / 'copy/images/2.png').write_bytes(b'not a picture')

    def open_it(**options) -> PersonCropDataset:
        return load(data_root=str(tmp_path / 'copy'), pipeline=PIPELINE, **options)

    return open_it


def test_in_training_an_unreadable_image_is_reported_once_replaced_and_counted(broken, log_file):
    dataset = broken()
    np.random.seed(0)  # noqa: NPY002
    for _ in range(3):
        meta = dataset[3]['data_samples'].metainfo
        assert meta['id'] in (11, 12, 14, 19, 20)
        assert set(meta['skipped']) == {dataset.get_data_info(3)['img_path']}
    assert 'skipped' not in dataset[0]['data_samples'].metainfo
    reports = [line for line in log_file.read_text().splitlines() if 'skipped' in line]
    assert len(reports) == 1
    assert 'copy/images/2.png (instance 15) cannot be read' in reports[0]


def test_workers_report_an_unreadable_image_once(broken, log_file):
    dataset = broken()
    loader = DataLoader(
        dataset, batch_size=1, sampler=[3] * 8, num_workers=2, collate_fn=pseudo_collate
    )
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == 8
        assert all(batch['data_samples'][0].metainfo['skipped'] for batch in batches)
    assert log_file.read_text().count('cannot be read') == 1


def test_in_evaluation_an_unreadable_image_is_an_error(broken):
    dataset = broken(test_mode=True)
    assert dataset[0]['data_samples'].metainfo['id'] == 11
    with pytest.raises(RuntimeError, match=r'copy/images/2\.png \(instance 15\) cannot be read'):
        dataset[3]
    batches = iter(DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=pseudo_collate))
    with pytest.raises(RuntimeError, match=r'copy/images/2\.png \(instance 15\) cannot be read'):
        list(batches)
    batches._shutdown_workers()  # left to the garbage collector it takes 10 s


def test_a_missing_image_is_unreadable_too(broken, tmp_path):
    (tmp_path / 'copy/images/2.png').unlink()
    assert broken()[3]['data_samples'].metainfo['skipped'][0].endswith('2.png')
    with pytest.raises(RuntimeError, match=r'2\.png'):
        broken(test_mode=True)[3]


def test_no_readable_image_at_all_ends(broken, tmp_path):
    dataset = broken(max_refetch=30)
    for path in (tmp_path / 'copy/images').iterdir():
        path.write_bytes(b'')
    with pytest.raises(RuntimeError, match=r'none of 31 drawn images could be read, [123] diff'):
        dataset[0]


def test_a_mistake_in_the_pipeline_is_not_taken_for_an_unreadable_image(load):
    dataset = load(pipeline=[PIPELINE[0], *PIPELINE[2:]])  # no box center
    with pytest.raises(KeyError, match='bbox_scale'):
        dataset[0]


def test_a_jpeg_damaged_in_its_middle_is_unreadable_too(load, tiny_coco, tmp_path, log_file):
    shutil.copytree(tiny_coco, tmp_path / 'copy')
    path = tmp_path / 'copy/images/2.png'
    cv2.imwrite(
        str(path.with_suffix('.jpg')), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 99]
    )
    path.with_suffix('.jpg').rename(path)  # the decoder looks at the content
    sound = load(data_root=str(tmp_path / 'copy'), pipeline=PIPELINE)
    assert 'skipped' not in sound[3]['data_samples'].metainfo
    damage_middle(path)
    assert sound[3]['data_samples'].metainfo['skipped'] == [str(path)]
    assert '2.png (instance 15) cannot be read: Corrupt JPEG data' in log_file.read_text()
    strict = load(data_root=str(tmp_path / 'copy'), pipeline=PIPELINE, test_mode=True)
    with pytest.raises(RuntimeError, match=r'2\.png \(instance 15\) cannot be read: Corrupt JPEG'):
        strict[3]


# ------------------------------------------------------------------------- faults of the files


@pytest.fixture
def changed(load, tiny_coco, tmp_path):
    """A function that opens the tiny data set with its annotations changed by a function."""

    def open_it(change=lambda coco: None, **options) -> PersonCropDataset:
        coco = json.loads((tiny_coco / 'boxes.json').read_text())
        coco = change(coco) or coco
        return load(ann_file=write_json(tmp_path / 'changed.json', coco), **options)

    return open_it


def entry(coco: dict, key: int, name: str = 'annotations') -> dict:
    return next(row for row in coco[name] if row['id'] == key)


@pytest.mark.parametrize(
    'box', [[np.nan] * 4, [np.nan, 5, 40, 60], [10, 5, np.inf, 60], None, [10, 5, 40], ['1'] * 4]
)
def test_a_box_that_is_not_four_finite_numbers(changed, box):
    with pytest.raises(
        ValueError, match=r"ann_file='.*changed\.json': annotations, id 11: bbox=.*four finite"
    ):
        changed(lambda coco: entry(coco, 11).update(bbox=box))
    # of what is not taken the box does not matter
    others = changed(lambda coco: [entry(coco, key).update(bbox=box) for key in (13, 17)] and None)
    assert ids(others) == [11, 12, 14, 15, 19, 20]


def test_boxes_without_a_size_are_counted(changed, log_file):
    dataset = changed(lambda coco: entry(coco, 11).update(bbox=[0, 0, 0, 0]))
    assert ids(dataset) == [12, 14, 15, 19, 20]
    assert '3 below min_size' in log_file.read_text()


def test_two_images_of_one_id(changed):
    with pytest.raises(ValueError, match=r"images, id 1: two different.*'1\.png' and '2\.png'"):
        changed(lambda coco: entry(coco, 2, 'images').update(id=1))
    twice = changed(lambda coco: coco['images'].append(dict(coco['images'][0])))
    assert ids(twice) == [11, 12, 14, 15, 19, 20]


def test_two_annotations_of_one_id(changed):
    with pytest.raises(ValueError, match=r'annotations, id 11: two different .* with image_id'):
        changed(lambda coco: entry(coco, 19).update(id=11))
    twice = changed(lambda coco: coco['annotations'].append(dict(coco['annotations'][0])))
    assert ids(twice) == [11, 12, 14, 15, 19, 20]


def test_two_categories_of_one_name(changed):
    def change(coco: dict) -> None:
        coco['categories'].append({'id': 7, 'name': 'person'})
        entry(coco, 15)['category_id'] = 7

    dataset = changed(change)
    assert ids(dataset) == [11, 12, 14, 15, 19, 20]
    assert dataset.get_data_info(3)['category_id'] == 7


@pytest.mark.parametrize(
    ('list_', 'id_', 'key', 'message'),
    [
        ('annotations', 11, 'bbox', r"annotations, id 11: has no 'bbox', left, top, width"),
        ('annotations', 11, 'image_id', r"annotations, id 11: has no 'image_id'"),
        ('annotations', 11, 'category_id', r"annotations, id 11: has no 'category_id'"),
        ('annotations', 11, 'id', r"annotations\[0\]: has no 'id'"),
        ('images', 2, 'id', r"images\[1\]: has no 'id'"),
        ('images', 2, 'file_name', r"images, id 2: has no 'file_name', the path of the image"),
        ('categories', 18, 'name', r"categories, id 18: has no 'name'"),
    ],
)
def test_missing_keys(changed, list_, id_, key, message):
    with pytest.raises(ValueError, match=rf"ann_file='.*changed\.json': {message}"):
        changed(lambda coco: entry(coco, id_, list_).pop(key) and None)


def test_no_categories_and_no_annotations(changed):
    for key in ('categories', 'annotations'):
        with pytest.raises(ValueError, match=r"'categories' and 'annotations'; it holds keys"):
            changed(lambda coco, key=key: coco.pop(key) and None)


def test_ids_as_texts_or_floats_and_a_byte_order_mark(changed, tmp_path):
    def change(coco: dict) -> None:
        for image in coco['images']:
            image['id'] = str(image['id'])
        for row in coco['annotations']:
            row.update(id=float(row['id']), category_id=str(row['category_id']))

    dataset = changed(change)
    assert ids(dataset) == [11, 12, 14, 15, 19, 20]
    assert all(type(key) is int for key in ids(dataset))
    text = (tmp_path / 'changed.json').read_text()
    (tmp_path / 'changed.json').write_text(text, encoding='utf-8-sig')
    again = PersonCropDataset(str(tmp_path / 'changed.json'), data_prefix=dataset.data_prefix)
    assert ids(again) == ids(dataset)


def test_file_names_with_windows_separators(changed, tiny_coco, tmp_path):
    shutil.copytree(tiny_coco / 'images', tmp_path / 'root/images')

    def change(coco: dict) -> None:
        for image in coco['images']:
            image['file_name'] = f'images\\{image["file_name"]}'

    dataset = changed(change, data_root=str(tmp_path), data_prefix={'img': 'root'})
    assert dataset.get_data_info(0)['img_path'] == str(tmp_path / 'root/images/1.png')


@pytest.mark.parametrize('missing', [..., None, 0])
def test_images_without_a_size_have_their_own(changed, missing, load):
    def change(coco: dict) -> None:
        for image in coco['images']:
            image['width'] = missing
            if missing is ...:
                del image['width'], image['height']

    boxes, expected = (
        {info['id']: info['bbox'].tolist() for info in map(dataset.get_data_info, range(6))}
        for dataset in (changed(change), load())
    )
    assert boxes == expected


def test_images_without_a_size_that_cannot_be_read(changed, tiny_coco, tmp_path, log_file):
    shutil.copytree(tiny_coco / 'images', tmp_path / 'images')
    (tmp_path / 'images/2.png').write_bytes(b'not a picture')
    options = dict(data_root=str(tmp_path))
    dataset = changed(lambda coco: entry(coco, 2, 'images').pop('width') and None, **options)
    assert ids(dataset) == [11, 12, 14, 19, 20]
    assert '3 of images without a size that cannot be read' in log_file.read_text()
    with pytest.raises(RuntimeError, match=r'2\.png cannot be read'):
        changed(
            lambda coco: entry(coco, 2, 'images').pop('width') and None, test_mode=True, **options
        )


def test_detections_in_a_dictionary_and_without_a_category(load, tmp_path):
    bare = [{k: v for k, v in box.items() if k != 'category_id'} for box in BOXES]
    path = write_json(tmp_path / 'boxes.json', {'detections': bare})
    dataset = load(bbox_file=path, category_names=['dog'])
    assert [dataset.get_data_info(i)['category_id'] for i in range(5)] == [18] * 5
    with pytest.raises(ValueError, match=r"bbox_file='.*': detections\[0\]: has no 'category_id'"):
        load(bbox_file=path, category_names=['dog', 'person'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(bbox=[np.nan] * 4), r'\[2\]: bbox=\[nan'),
        (dict(bbox=None), r'\[2\]: bbox=None must be left'),
        (dict(score=np.nan), r'\[2\]: score=nan must be a finite number'),
        (dict(score='0.9'), r"\[2\]: score='0\.9' must be a finite number"),
        (dict(image_id=None), r'\[2\]: image_id=None must be the id of an image'),
    ],
)
def test_faults_of_detections(load, tmp_path, change, message):
    boxes = [dict(box) for box in BOXES]
    boxes[2].update(change)
    with pytest.raises(ValueError, match=rf"bbox_file='.*boxes\.json'{message}"):
        load(bbox_file=write_json(tmp_path / 'boxes.json', boxes))


@pytest.mark.slow
def test_lists_of_paths_in_other_encodings(tiny_coco, tmp_path):
    folder = tmp_path / 'images/deep'
    shutil.copytree(tiny_coco / 'images', folder)
    (folder / '1.png').rename(folder / 'Zoë.png')

    def open_list() -> list:
        return ids(
            PersonCropDataset(
                image_list=str(tmp_path / 'list.txt'), data_prefix={'img': str(tmp_path / 'images')}
            )
        )

    text = 'deep/Zoë.png\r\ndeep\\2.png\r\n'
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
        (tmp_path / 'list.txt').write_bytes(text.encode(encoding))
        assert open_list() == ['deep/Zoë.png', 'deep/2.png']
    (tmp_path / 'list.txt').write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match=r"image_list='.*list\.txt' must be text in UTF-8"):
        open_list()


def test_a_folder_with_links_and_a_folder_with_the_name_of_an_image(tiny_coco, tmp_path):
    (tmp_path / 'root/a.png').mkdir(parents=True)
    (tmp_path / 'root/link').symlink_to(tiny_coco / 'images')
    (tmp_path / 'root/circle').symlink_to(tmp_path / 'root')
    dataset = PersonCropDataset(data_prefix={'img': str(tmp_path / 'root')}, pipeline=PIPELINE)
    assert ids(dataset) == ['link/1.png', 'link/2.png', 'link/3.png']
    assert dataset[0]['inputs'].float().std() > 5


# -------------------------------------------------------------------------- annotations handed on


def with_outlines(tiny_coco: Path, folder: Path) -> tuple[str, dict]:
    """The tiny annotations, with an outline of every box but 12 (null) and 15 (empty)."""
    content = json.loads((tiny_coco / 'boxes.json').read_text())
    for row in content['annotations']:
        left, top, width, height = row['bbox']
        outline = [[left, top, left + width, top, left + width, top + height]]
        row['segmentation'] = {12: None, 15: []}.get(row['id'], outline)
    outlines = {row['id']: row['segmentation'] for row in content['annotations']}
    return write_json(folder / 'outlines.json', content), outlines


def test_annotation_keys_go_on_as_they_stand_in_the_file(load, tiny_coco, tmp_path):
    path, outlines = with_outlines(tiny_coco, tmp_path)
    dataset = load(ann_file=path, annotation_keys=['segmentation'])
    assert ids(dataset) == [11, 14, 19, 20]
    assert dataset.left_out['without segmentation'] == 2
    for i, key in enumerate(ids(dataset)):
        _, _, *box = helpers.BOXES[key]
        # the box as it is annotated, beside the clipped one
        expected = {'bbox': box, 'segmentation': outlines[key]}
        assert dataset.get_data_info(i)['raw_ann_info'] == expected


def test_without_annotation_keys_nothing_goes_on(load, tiny_coco, tmp_path):
    path, _ = with_outlines(tiny_coco, tmp_path)
    dataset = load(ann_file=path)
    assert ids(dataset) == [11, 12, 14, 15, 19, 20]
    assert 'raw_ann_info' not in dataset.get_data_info(0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(annotation_keys='segmentation'), 'must be a sequence of names'),
        (
            dict(annotation_keys=['a'], ann_file=''),
            "needs the annotations of ann_file; ann_file=''",
        ),
        (dict(annotation_keys=['a'], bbox_file='b.json'), "bbox_file='b.json'"),
        (dict(annotation_keys=['a']), 'no box is left.*8 without a '),
    ],
)
def test_annotation_keys_that_cannot_be(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


# ------------------------------------------------------------- images of another size or turned

RED = (120, 40, 200, 90)
"""Left, top, right, bottom of what is red in a photo as it is stored, 320×160."""


@pytest.fixture
def photos(tmp_path):
    """A function that opens photos with a red box, of some EXIF orientation, annotated.

    The annotation is in the coordinates of the stored photos, or in those of the turned ones, and
    may be of photos of another scale.
    """

    def open_them(
        orientation: int = 6, stored: bool = True, scale: float = 1, number: int = 1, **options
    ) -> PersonCropDataset:
        pixels = np.full((160, 320, 3), (60, 120, 60), np.uint8)
        left, top, right, bottom = RED
        pixels[top:bottom, left:right] = (255, 0, 0)
        exif = Image.Exif()
        exif[0x0112] = orientation
        box, size = np.array([RED], float), (320, 160)
        if not stored:
            box, size = turn_boxes(box, size, orientation), turned_size(size, orientation)
        x, y, right, bottom = (scale * box[0]).tolist()
        for i in range(number):
            Image.fromarray(pixels).save(tmp_path / f'{i}.jpg', exif=exif, quality=95)
        content = {
            'images': [
                {'id': i, 'file_name': f'{i}.jpg', 'width': scale * size[0],
                 'height': scale * size[1]} for i in range(number)
            ],
            'categories': [{'id': 1, 'name': 'person'}],
            'annotations': [
                {'id': i, 'image_id': i, 'category_id': 1, 'bbox': [x, y, right - x, bottom - y]}
                for i in range(number)
            ],
        }  # fmt: skip
        pipeline = [PIPELINE[0], dict(type='GetBBoxCenterScale', padding=1), *PIPELINE[2:]]
        return PersonCropDataset(
            write_json(tmp_path / 'photos.json', content),
            **{'data_prefix': {'img': str(tmp_path)}, 'pipeline': pipeline, **options},
        )

    return open_them


def redness(sample: dict) -> float:
    """How much redder a crop is than green in its middle, 255 at most."""
    _, green, red = sample['inputs'][:, 8:-8, 8:-8].float().mean((1, 2)).tolist()
    return red - green


@pytest.mark.slow
@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('stored', [True, False])
@pytest.mark.parametrize('orientation', [1, 5, 6, 7, 8])
def test_boxes_of_turned_photos_in_both_conventions(photos, orientation, stored, test_mode):
    sample = photos(orientation, stored, test_mode=test_mode)[0]
    assert redness(sample) > 100
    box = sample['data_samples'].gt_instances.bboxes
    turned = turn_boxes(np.array([RED], np.float32), (320, 160), orientation)
    assert box.tolist() == turned.tolist()


@pytest.mark.parametrize('orientation', [2, 3, 4])
def test_boxes_of_photos_that_keep_their_size_are_those_of_the_turned_one(photos, orientation):
    assert redness(photos(orientation, stored=False)[0]) > 100


def test_annotations_of_turned_photos_are_not_handed_on(photos):
    message = r"0\.jpg .*orientation 6 .* annotation_keys=\('category_id',\) are not turned with it"
    with pytest.raises(UnreadableImageError, match=message):
        photos(test_mode=True, annotation_keys=['category_id'])[0]
    assert redness(photos(stored=False, annotation_keys=['category_id'])[0]) > 100


def test_turned_boxes_are_reported_by_count(photos, log_file):
    dataset = photos(number=12)
    list(DataLoader(dataset, batch_size=1, num_workers=2, collate_fn=pseudo_collate))
    for i in range(12):
        assert redness(dataset[i]) > 100
    lines = [line for line in log_file.read_text().splitlines() if 'turned with it' in line]
    assert 2 <= len(lines) <= 4  # two workers may tell of one number at once
    assert 'EXIF orientation 6' in lines[0]
    # the tenth, or the one after it where both workers were at it at once
    assert lines[-1].endswith(('so far: 10', 'so far: 11', 'so far: 12'))


def test_photos_turned_the_right_way_are_not_reported(photos, log_file):
    assert redness(photos(stored=False)[0]) > 100
    assert 'EXIF' not in log_file.read_text()


@pytest.mark.parametrize('orientation', [1, 6])
@pytest.mark.parametrize('scale', [0.5, 2])
def test_photos_of_another_size(photos, orientation, scale, log_file):
    strict = photos(orientation, scale=scale, test_mode=True)
    with pytest.raises(RuntimeError, match=r'0\.jpg \(instance 0\) is \d+×\d+ pixels, but \d+×'):
        strict[0]
    dataset = photos(orientation, scale=scale, number=2, max_refetch=5)
    with pytest.raises(RuntimeError, match=r'none of 6 drawn images .* the last one: .* pixels'):
        dataset[0]
    assert log_file.read_text().count('skipped, ') == 2


def test_a_pipeline_that_does_not_turn(photos):
    load = dict(type='LoadImage', color_type='color_ignore_orientation')
    pipeline = [load, *PIPELINE[1:]]
    assert redness(photos(pipeline=pipeline)[0]) > 100
    with pytest.raises(RuntimeError, match=r'\(as orientation 6 of its EXIF data turns it'):
        photos(stored=False, pipeline=pipeline, test_mode=True)[0]


def test_detections_on_turned_photos_that_are_listed_as_stored(photos, tmp_path):
    box = turn_boxes(np.array([RED], float), (320, 160), 6)[0].tolist()
    row = {'image_id': 0, 'bbox': [*box[:2], box[2] - box[0], box[3] - box[1]], 'score': 1}
    path = write_json(tmp_path / 'found.json', [row])
    assert redness(photos(stored=False, bbox_file=path)[0]) > 100
    with pytest.raises(RuntimeError, match=r'\(as it is stored; orientation 6 of its EXIF data'):
        photos(stored=True, bbox_file=path, test_mode=True)[0]


def test_photos_without_a_size_and_with_orientation(photos, tmp_path):
    photos(stored=False)
    content = json.loads((tmp_path / 'photos.json').read_text())
    del content['images'][0]['width']
    dataset = PersonCropDataset(
        write_json(tmp_path / 'photos.json', content),
        data_prefix={'img': str(tmp_path)},
        pipeline=PIPELINE,
        test_mode=True,
    )
    assert redness(dataset[0]) > 100
