import hashlib
import json
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS
from mmengine.runner import Runner
from mmpose.datasets import CocoDataset

from hsjp_mm.datasets import LabelSubset
from hsjp_mm.datasets.subset_files import write_subset
from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

KINDS = ('labelled', 'labelled', 'unlabelled', 'crowd')


def annotation(key: int, image: int, kind: str, place: int) -> dict:
    """A person in a box of 10×20 pixels, the boxes side by side."""
    x = 12 * place
    points = [x + 3, 5, 2, x + 6, 10, 1] if kind == 'labelled' else []
    polygon = [[x, 0, x + 10, 0, x + 10, 20, x, 20]]
    crowd = {'counts': [0, 20 * 60], 'size': [20, 60]}
    return {
        'id': key, 'image_id': image, 'category_id': 1, 'iscrowd': int(kind == 'crowd'),
        'bbox': [x, 0, 10, 20], 'area': 200, 'segmentation': crowd if kind == 'crowd' else polygon,
        'num_keypoints': len(points) // 3, 'keypoints': points + [0] * (51 - len(points)),
    }  # fmt: skip


@pytest.fixture(scope='module')
def coco() -> dict:
    """60 images of 60×20 pixels with up to four persons, ids without order or gaps."""
    rng = np.random.RandomState(0)
    images = [
        {'id': int(i), 'file_name': f'{i}.png', 'width': 60, 'height': 20}
        for i in rng.permutation(1000)[:60]
    ]
    keys = iter(rng.permutation(5000).tolist())
    annotations = [
        annotation(next(keys), image['id'], KINDS[rng.randint(4)], place)
        for image in images
        for place in range(rng.randint(5))
    ]
    categories = [{'id': 1, 'name': 'person'}]
    return {'images': images, 'annotations': annotations, 'categories': categories}


@pytest.fixture(scope='module')
def ann_file(coco, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp('labels') / 'persons.json'
    path.write_text(json.dumps(coco))
    return str(path)


def labelled(coco: dict) -> dict[int, int]:
    """The image of each labelled person, read without MMPose."""
    persons = (a for a in coco['annotations'] if a['num_keypoints'] and not a['iscrowd'])
    return {person['id']: person['image_id'] for person in persons}


def make(ann_file: str, data_mode: str = 'topdown', inner: dict | None = None, **choice):
    dataset = dict(type='CocoDataset', ann_file=ann_file, data_mode=data_mode, **(inner or {}))
    return LabelSubset(dataset=dataset, **choice)


def ids(dataset) -> list:
    return [dataset.get_data_info(i)['id'] for i in range(len(dataset))]


def image_ids(dataset) -> set[int]:
    return {dataset.get_data_info(i)['img_id'] for i in range(len(dataset))}


# ------------------------------------------------------------------------------------ the choice


@pytest.mark.slow
@pytest.mark.parametrize('by', ['images', 'persons'])
@pytest.mark.parametrize('fraction', [0.01, 0.05, *np.arange(0.1, 1, 0.1).round(1), 1])
def test_the_first_of_an_order_by_the_hash_of_seed_and_id_are_taken(coco, ann_file, by, fraction):
    persons = labelled(coco)
    units = set(persons.values()) if by == 'images' else set(persons)
    ordered = sorted(
        units, key=lambda i: hashlib.sha256(f'label subset 5/{i}'.encode()).hexdigest()
    )
    count = round(fraction * len(units))
    if count == 0:
        with pytest.raises(ValueError, match=rf'fraction={fraction} makes 0 {by}; from 1 to'):
            make(ann_file, fraction=float(fraction), by=by, seed=5)
        return
    taken = set(ordered[:count])
    dataset = make(ann_file, fraction=float(fraction), by=by, seed=5)
    expected = {p for p, image in persons.items() if (image if by == 'images' else p) in taken}
    assert set(ids(dataset)) == expected
    assert len(dataset) == len(expected)


@pytest.mark.slow
@pytest.mark.parametrize('by', ['images', 'persons'])
@pytest.mark.parametrize('data_mode', ['topdown', 'bottomup'])
def test_smaller_subsets_lie_inside_larger_ones_of_the_seed_alone(ann_file, by, data_mode):
    def taken(**choice) -> set[int]:
        dataset = make(ann_file, data_mode, by=by, **choice)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return {
            int(key)
            for info in infos
            for key, points in zip(
                np.atleast_1d(info['id']), np.atleast_1d(info['num_keypoints']), strict=True
            )
            if points
        }

    chain = [
        taken(**choice)
        for choice in (dict(number=1), dict(fraction=0.1), dict(number=10), dict(fraction=0.7))
    ]
    for smaller, larger in pairwise(chain):
        assert smaller < larger
    assert not taken(number=10, seed=1) <= chain[3]


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_the_order_of_the_file_does_not_matter(coco, ann_file, by, tmp_path):
    rng = np.random.RandomState(1)
    shuffled = {**coco}
    for part in ('images', 'annotations'):
        shuffled[part] = [coco[part][i] for i in rng.permutation(len(coco[part]))]
    (tmp_path / 'shuffled.json').write_text(json.dumps(shuffled))
    one = make(ann_file, fraction=0.3, by=by)
    other = make(str(tmp_path / 'shuffled.json'), fraction=0.3, by=by)
    assert ids(one) != sorted(ids(one))
    assert sorted(ids(one)) == sorted(ids(other))


def test_the_choice_is_the_same_on_every_machine(ann_file):
    """Written down, so that a change of the order is seen."""
    assert image_ids(make(ann_file, number=5)) == {45, 231, 553, 698, 710}
    persons = set(ids(make(ann_file, number=5, by='persons')))
    assert persons == {170, 1162, 1843, 2826, 4010}


def test_top_down_and_bottom_up_training_get_the_same_images(coco, ann_file):
    topdown = make(ann_file, fraction=0.4)
    bottomup = make(ann_file, 'bottomup', fraction=0.4)
    assert image_ids(topdown) == image_ids(bottomup)
    assert len(bottomup) == round(0.4 * len(set(labelled(coco).values())))
    everyone = [a for a in coco['annotations'] if a['image_id'] in image_ids(bottomup)]
    found = [key for i in range(len(bottomup)) for key in bottomup.get_data_info(i)['id']]
    assert sorted(found) == sorted(a['id'] for a in everyone)


def test_what_was_chosen_is_said(coco, ann_file, log_file):
    dataset = make(ann_file, number=7, by='persons')
    persons, images = labelled(coco), image_ids(dataset)
    total = len(set(persons.values()))
    assert dataset.summary == (
        f'{len(images)} of {total} images with labelled persons, '
        f'7 of {len(persons)} labelled persons'
    )
    assert f'LabelSubset: {dataset.summary} of {ann_file}' in log_file.read_text()


# ----------------------------------------------------------------- what becomes of other persons


def test_persons_without_their_labels_are_masked_in_bottom_up_training(coco, ann_file):
    dataset = make(ann_file, 'bottomup', fraction=0.5, by='persons')
    chosen = set(ids(make(ann_file, fraction=0.5, by='persons')))
    persons, boxes = labelled(coco), {a['id']: a['bbox'] for a in coco['annotations']}
    mask = TRANSFORMS.build(dict(type='BottomupGetHeatmapMask'))
    dropped = 0
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        valid = mask({**info, 'img_shape': (20, 60), 'input_size': (60, 20)})['heatmap_mask']
        assert chosen & set(info['id'])
        for key, points, visible in zip(
            info['id'], info['keypoints'], info['keypoints_visible'], strict=True
        ):
            left, top, width, height = boxes[key]
            region = valid[top + 1 : top + height - 1, left + 1 : left + width - 1]
            if key in chosen:
                assert region.all() and points.any() and visible.any()
            elif key in persons:
                assert not region.any() and not points.any() and not visible.any()
                dropped += 1
    assert dropped >= 5
    assert image_ids(dataset) == {persons[key] for key in chosen}


def test_persons_that_cannot_be_masked_are_refused(coco, tmp_path):
    bare = [{k: v for k, v in a.items() if k != 'segmentation'} for a in coco['annotations']]
    path = tmp_path / 'bare.json'
    path.write_text(json.dumps({**coco, 'annotations': bare}))
    with pytest.raises(ValueError, match=r'person \d+ of .*bare\.json has no segmentation'):
        make(str(path), 'bottomup', fraction=0.5, by='persons')
    assert len(make(str(path), 'bottomup', fraction=0.5)) > 0
    assert len(make(str(path), fraction=0.5, by='persons')) > 0


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_mpii_annotations_are_cut_too(by, tmp_path):
    persons = [
        {'image': f'{i // 3:05}.jpg', 'center': [50, 60], 'scale': 1.0,
         'joints': [[40 + j, 50 + i] for j in range(16)], 'joints_vis': [1] * 16}
        for i in range(30)
    ]  # fmt: skip
    (tmp_path / 'mpii.json').write_text(json.dumps(persons))
    inner = dict(type='MpiiDataset', ann_file=str(tmp_path / 'mpii.json'))
    dataset = LabelSubset(dataset=inner, fraction=0.2, by=by)
    assert len(dataset) == 6
    assert len(image_ids(dataset)) == 2 or by == 'persons'
    for i in range(6):
        info = dataset.get_data_info(i)
        assert info['keypoints'][0, 0, 1] == 50 + info['id'] and info['img_id'] == info['id'] // 3


# ---------------------------------------------------------------------------- as a stock data set


def test_nothing_reaches_beyond_the_subset(ann_file):
    dataset = make(ann_file, number=3, by='persons')
    assert type(dataset.dataset) is CocoDataset
    assert len(dataset.dataset) == 3
    drawn = {
        dataset.dataset.get_data_info(dataset.dataset._rand_another())['id'] for _ in range(50)
    }
    assert drawn == set(ids(dataset))


def test_the_annotations_lie_in_one_array_that_workers_share(ann_file):
    small, large = (make(ann_file, fraction=f).dataset for f in (0.1, 1.0))
    for dataset in (small, large):
        assert not dataset.data_list and dataset.data_bytes.dtype == np.uint8
    assert len(small.data_bytes) < 0.25 * len(large.data_bytes)


def pack(info: dict) -> dict:
    return {'id': info['id']}


@pytest.mark.parametrize('times', [1, 2])
def test_workers_and_repetition(ann_file, times):
    inner = dict(type='CocoDataset', ann_file=ann_file, pipeline=[pack])
    config = dict(type='hsjp_mm.LabelSubset', dataset=inner, number=6, by='persons')
    if times > 1:
        config = dict(type='RepeatDataset', dataset=config, times=times)
    loader = Runner.build_dataloader(
        dict(
            dataset=config, batch_size=4, num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=0,
    )  # fmt: skip
    seen = [key for batch in loader for key in batch['id']]
    assert sorted(seen) == sorted(times * ids(make(ann_file, number=6, by='persons')))
    assert loader.dataset.metainfo['dataset_name'] == 'coco'


@pytest.mark.slow
@pytest.mark.parametrize('lazy', [True, False])
def test_it_can_be_pickled(ann_file, lazy):
    dataset = make(ann_file, number=6, lazy_init=lazy)
    copied = pickle.loads(pickle.dumps(dataset))
    assert ids(copied) == ids(dataset)
    assert image_ids(copied) == image_ids(make(ann_file, number=6))


def test_a_lazy_one_reads_no_annotations():
    dataset = make('no-such.json', fraction=0.1, lazy_init=True)
    assert dataset.metainfo['num_keypoints'] == 17
    with pytest.raises(AssertionError, match=r'no-such\.json'):
        len(dataset)


@pytest.mark.slow
def test_it_trains_and_the_stock_metric_validates(tmp_path):
    """The demo's config and the change that the leaves make, and the option beside it."""
    render(tmp_path / 'toy', 8, 2, seed=0)
    path = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
    cfg = Config.fromstring(
        f"_base_ = ['{path}']\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='hsjp_mm.LabelSubset', "
        'dataset={**_base_.train_dataloader.dataset, "indices": None}, fraction=0.1))',
        '.py',
    )
    cfg.merge_from_dict(
        {'train_dataloader.dataset.fraction': None, 'train_dataloader.dataset.number': 3}
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.dataset.data_root = str(tmp_path / 'toy')
    cfg.val_dataloader.dataset.data_root = str(tmp_path / 'toy')
    cfg.val_evaluator.ann_file = str(tmp_path / 'toy/annotations/person_keypoints_val.json')
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    cfg.default_hooks.checkpoint = None
    cfg.work_dir = str(tmp_path / 'run')
    cfg.visualizer.name = cfg.experiment_name = tmp_path.name
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert len(image_ids(runner.train_dataloader.dataset)) == 3
    assert 0 <= runner.message_hub.get_scalar('val/coco/AP').current() <= 1


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ('choice', 'message'),
    [
        (dict(), 'give one of fraction=None and number=None'),
        (dict(fraction=0.1, number=3), 'give one of fraction=0.1 and number=3'),
        (dict(fraction=0.0), r'fraction=0\.0 must be in \(0, 1\]'),
        (dict(fraction=1.01), r'fraction=1\.01 must be in \(0, 1\]'),
        (dict(fraction=-0.1), r'fraction=-0\.1 must be in'),
        (dict(number=0), 'number=0 must be a whole number of at least 1'),
        (dict(number=10.0), r'number=10\.0 must be a whole number'),
        (dict(number=1000), r'number=1000 makes 1000 images; from 1 to \d+ can be chosen'),
        (dict(number=1000, by='persons'), r'makes 1000 persons; from 1 to \d+ .*persons\.json'),
        (dict(fraction=0.001), r'fraction=0\.001 makes 0 images'),
        (dict(number=1, by='boxes'), r"by='boxes' must be one of \('images', 'persons'\)"),
    ],
)
def test_a_choice_out_of_range_is_refused(ann_file, choice, message):
    with pytest.raises(ValueError, match=message):
        make(ann_file, **choice)


def test_data_sets_that_cannot_be_cut_are_refused(ann_file):
    with pytest.raises(ValueError, match=r'test_mode=True, .* tools/make_subset\.py'):
        make(ann_file, inner=dict(test_mode=True), number=1)
    with pytest.raises(ValueError, match=r'indices=5 of this CocoDataset would cut the subset'):
        make(ann_file, inner=dict(indices=5), number=1)
    inner = dict(type='hsjp_mm.LabelSubset', dataset=dict(type='CocoDataset'), number=1)
    with pytest.raises(ValueError, match='a LabelSubset in a LabelSubset would be cut twice'):
        LabelSubset(dataset=inner, number=1)
    with pytest.raises(ValueError, match='would be cut twice'):
        LabelSubset(dataset=dict(type='CombinedDataset', metainfo={}, datasets=[inner]), number=1)

    class Foreign(torch.utils.data.Dataset):
        def __init__(self, lazy_init):
            pass

    with pytest.raises(TypeError, match='dataset is a Foreign, and must be a data set of MMEngine'):
        LabelSubset(dataset=dict(type=Foreign), number=1)


# ----------------------------------------------------------- data sets that are no files of COCO's


class Frames(BaseDataset):
    """Samples as a user's own data set may have them."""

    def __init__(self, rows, **base):
        self.rows = rows
        super().__init__(**base)

    def load_data_list(self):
        return list(self.rows)


def rows_of(dataset) -> list[int]:
    return [dataset.get_data_info(i)['row'] for i in range(len(dataset))]


def first(units: set, number: int, seed: int = 0) -> set:
    return set(
        sorted(units, key=lambda i: hashlib.sha256(f'label subset {seed}/{i}'.encode()).digest())[
            :number
        ]
    )


@pytest.mark.parametrize('serialize_data', [True, False])
@pytest.mark.parametrize('key', ['img_id', 'img_path', 'id'])
def test_any_data_set_is_cut_by_the_images_of_its_samples(key, serialize_data, tmp_path):
    rows = [{'row': i, key: 7 * (i // 3)} for i in range(60)]  # three samples an image
    if key == 'img_path':
        rows = [{**row, key: str(tmp_path / 'data' / f'{row[key]}.jpg')} for row in rows]
    inner = dict(
        type=Frames, rows=rows, data_root=str(tmp_path / 'data'), serialize_data=serialize_data
    )
    dataset = LabelSubset(dataset=inner, fraction=0.25)
    names = {f'{7 * i}.jpg' if key == 'img_path' else 7 * i for i in range(20)}
    taken = first(names, 5)
    expected = [
        row['row'] for row in rows
        if (Path(row[key]).name if key == 'img_path' else row[key]) in taken
    ]  # fmt: skip
    assert rows_of(dataset) == expected and len(expected) == 15
    assert dataset.summary == '5 of 20 images, 15 of 60 samples'
    assert rows_of(pickle.loads(pickle.dumps(dataset))) == expected
    # mixing transforms ask the data set itself
    assert {dataset.dataset.get_data_info(i)['row'] for i in range(15)} == set(expected)


def test_an_image_id_goes_before_its_path():
    rows = [{'row': i, 'img_id': i // 2, 'img_path': f'{i}.jpg', 'id': i} for i in range(20)]
    dataset = LabelSubset(dataset=dict(type=Frames, rows=rows), number=3)
    taken = first(set(range(10)), 3)
    assert rows_of(dataset) == [i for i in range(20) if i // 2 in taken]


def test_any_data_set_is_cut_by_the_persons_of_its_samples():
    rows = [{'row': i, 'img_id': i // 3, 'id': 100 + i} for i in range(60)]
    dataset = LabelSubset(dataset=dict(type=Frames, rows=rows), number=7, by='persons')
    assert {100 + row for row in rows_of(dataset)} == first({row['id'] for row in rows}, 7)
    assert dataset.summary == '7 of 60 persons, 7 of 60 samples'
    for wrong, message in (
        (
            [{'row': 0, 'img_id': 1}],
            r"by='persons': each sample of Frames must have id, .* row, img_id",
        ),
        ([{'row': 0, 'id': [1, 2]}], "by='persons': each sample of Frames must have id"),
        ([{'id': 1}, {'id': 1}], "2 samples of Frames have 1 different ids; choose by='images'"),
    ):
        with pytest.raises(ValueError, match=message):
            LabelSubset(dataset=dict(type=Frames, rows=wrong), number=1, by='persons')


def test_samples_of_no_image_are_refused():
    with pytest.raises(ValueError, match=r'img_id or img_path or id, .* it holds row, sample_idx'):
        LabelSubset(dataset=dict(type=Frames, rows=[{'row': 0}]), number=1)
    with pytest.raises(ValueError, match=r'makes 9 images; from 1 to 1 can .* images of Frames'):
        LabelSubset(dataset=dict(type=Frames, rows=[{'id': 0}]), number=9)
    with pytest.raises(ValueError, match=r'this Frames has test_mode=True'):
        LabelSubset(dataset=dict(type=Frames, rows=[{'id': 0}], test_mode=True), number=1)


def test_a_coco_style_data_set_that_loads_otherwise(ann_file):
    class Otherwise(CocoDataset):
        def load_data_list(self):
            return [{'id': i, 'img_id': i // 2} for i in range(10)]

    dataset = LabelSubset(dataset=dict(type=Otherwise, ann_file=ann_file), number=2)
    taken = first(set(range(5)), 2)
    assert ids(dataset) == [i for i in range(10) if i // 2 in taken]


# ---------------------------------------------------------------- data sets that consist of others


def combined(ann_file: str, **more) -> dict:
    coco = dict(type='CocoDataset', ann_file=ann_file, pipeline=[pack])
    frames = dict(
        type=Frames, rows=[{'row': i, 'img_id': i, 'id': 10**6 + i} for i in range(50)],
        pipeline=[pack],
    )  # fmt: skip
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    return dict(type='CombinedDataset', metainfo=metainfo, datasets=[coco, frames], **more)


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_each_part_of_a_combined_data_set_is_cut(coco, ann_file, by, log_file):
    dataset = LabelSubset(dataset=combined(ann_file), fraction=0.2, by=by, seed=3)
    alone = make(ann_file, fraction=0.2, by=by, seed=3)
    found = [dataset[i]['id'] for i in range(len(dataset))]
    assert found[: len(alone)] == ids(alone)
    units = {i if by == 'images' else 10**6 + i for i in range(50)}
    assert {key if by == 'persons' else key - 10**6 for key in found[len(alone) :]} == first(
        units, 10, seed=3
    )
    assert (
        dataset.summary
        == f'{alone.summary} of {ann_file}; 10 of 50 {by}, 10 of 50 samples of Frames'
    )
    log = log_file.read_text()
    assert f'LabelSubset: {alone.summary} of {ann_file}\n' in log
    assert f'LabelSubset: 10 of 50 {by}, 10 of 50 samples of Frames\n' in log
    assert dataset.metainfo['dataset_name'] == 'coco'


def test_a_number_is_taken_from_each_part(ann_file):
    dataset = LabelSubset(dataset=combined(ann_file), number=4, by='persons')
    assert [len(part) for part in dataset.dataset.datasets] == [4, 4]


def test_smaller_subsets_of_a_combined_data_set_lie_inside_larger_ones(ann_file):
    small, large = (
        LabelSubset(dataset=combined(ann_file), fraction=fraction) for fraction in (0.1, 0.5)
    )
    small_ids, large_ids = ({d[i]['id'] for i in range(len(d))} for d in (small, large))
    assert small_ids < large_ids


def test_sampling_ratios_count_what_is_left(ann_file):
    dataset = LabelSubset(
        dataset=combined(ann_file, sample_ratio_factor=[1.0, 0.5]), number=6, by='persons'
    )
    assert len(dataset) == 6 + 3


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_a_repeated_data_set_is_cut(ann_file, by):
    inner = dict(type='CocoDataset', ann_file=ann_file)
    repeated = dict(type='RepeatDataset', dataset=inner, times=3)
    dataset = LabelSubset(dataset=repeated, fraction=0.2, by=by)
    alone = make(ann_file, fraction=0.2, by=by)
    assert ids(dataset) == 3 * ids(alone)
    assert dataset.summary == f'{alone.summary} of {ann_file}'


def test_parts_that_cannot_be_cut_are_named(ann_file):
    config = combined(ann_file)
    config['datasets'][1]['test_mode'] = True
    with pytest.raises(ValueError, match=r'this Frames has test_mode=True'):
        LabelSubset(dataset=config, number=1)
    config = combined(ann_file)
    config['datasets'][1]['rows'] = [{'row': 0, 'id': 0}]
    with pytest.raises(ValueError, match=r'fraction=0\.2 makes 0 images; .* the images of Frames'):
        LabelSubset(dataset=config, fraction=0.2)


def test_workers_share_a_combined_data_set_and_it_can_be_pickled(ann_file):
    config = dict(type='hsjp_mm.LabelSubset', dataset=combined(ann_file), number=6, by='persons')
    loader = Runner.build_dataloader(
        dict(
            dataset=config, batch_size=4, num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=0,
    )  # fmt: skip
    seen = [key for batch in loader for key in batch['id']]
    dataset = pickle.loads(pickle.dumps(loader.dataset))
    assert sorted(seen) == sorted(dataset[i]['id'] for i in range(len(dataset)))
    for part in dataset.dataset.datasets:
        assert not part.dataset.data_list and part.dataset.data_bytes.dtype == np.uint8


def test_a_file_without_labels_is_refused(coco, tmp_path):
    blank = [{**a, 'num_keypoints': 0, 'keypoints': [0] * 51} for a in coco['annotations']]
    (tmp_path / 'blank.json').write_text(json.dumps({**coco, 'annotations': blank}))
    with pytest.raises(ValueError, match=r'fraction=0\.5 makes 0 images; from 1 to 0 can be'):
        make(str(tmp_path / 'blank.json'), fraction=0.5)


def test_the_registry_knows_it(ann_file):
    inner = dict(type='CocoDataset', ann_file=ann_file)
    dataset = DATASETS.build(dict(type='hsjp_mm.LabelSubset', dataset=inner, number=2))
    assert len(image_ids(dataset)) == 2


# ------------------------------------------------------------------------- faults of the files


def written(tmp_path, coco: dict, change) -> str:
    coco = json.loads(json.dumps(coco))
    change(coco)
    (tmp_path / 'changed.json').write_text(json.dumps(coco))
    return str(tmp_path / 'changed.json')


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_other_ids_and_repeated_entries_make_the_same_choice(coco, ann_file, by, tmp_path):
    def change(coco: dict) -> None:
        for row in coco['annotations']:
            row.update(id=str(row['id']), image_id=float(row['image_id']), category_id='1')
        for key in ('images', 'annotations', 'categories'):
            coco[key].append(dict(coco[key][0]))

    changed = written(tmp_path, coco, change)
    expected, found = (make(path, fraction=0.3, by=by) for path in (ann_file, changed))
    assert ids(found) == ids(expected)
    assert found.dataset.ann_file == changed
    for source, out in ((ann_file, 'a.json'), (changed, 'b.json')):
        write_subset(source, tmp_path / out, fraction=0.3, by=by)
    assert (tmp_path / 'a.json').read_text() == (tmp_path / 'b.json').read_text()


@pytest.mark.parametrize(
    ('key', 'changes', 'message'),
    [
        ('annotations', dict(bbox=[np.nan] * 4), r'annotations, id \d+: bbox=.*four finite'),
        ('annotations', dict(bbox=None), 'bbox=None must be left, top'),
        ('annotations', dict(keypoints=True), 'keypoints=True must be x, y'),
        ('annotations', dict(image_id=None), 'image_id=None must be the id of an image'),
        ('annotations', dict(id=None), 'id=None must be a whole number or a text'),
        ('images', dict(width=None), r'images, id \d+: MMPose needs width and height'),
        ('images', dict(file_name=None), 'file_name=None must be the path'),
        ('images', dict(id='one'), "id 'one': MMPose needs a whole number as id"),
    ],
)
def test_faults_are_named_by_both(coco, key, changes, message, tmp_path):
    changed = written(tmp_path, coco, lambda coco: coco[key][1].update(changes))
    with pytest.raises(ValueError, match=rf"ann_file='.*changed\.json': .*{message}"):
        make(changed, number=1)
    with pytest.raises(ValueError, match=rf"ann_file='.*changed\.json': .*{message}"):
        write_subset(changed, tmp_path / 'out.json', number=1)
    assert not (tmp_path / 'out.json').exists()


@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
def test_different_entries_of_one_id_are_refused(coco, key, tmp_path):
    changed = written(tmp_path, coco, lambda coco: coco[key].append({**coco[key][0], 'name': 'x'}))
    with pytest.raises(ValueError, match=rf'{key}, id \d+: two different entries'):
        make(changed, number=1)
