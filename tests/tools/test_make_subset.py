"""The tool's file holds, for a stock data set, what the wrapper makes of the whole one."""

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from mmpose.evaluation import CocoMetric

from hsjp_mm.datasets import LabelSubset
from hsjp_mm.datasets.subset_files import write_subset
from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/make_subset.py'))['main']


@pytest.fixture(scope='module')
def ann_file(tmp_path_factory) -> Path:
    """Drawn people, of whom every fourth has no keypoints, beside a cat."""
    folder = tmp_path_factory.mktemp('make_subset') / 'toy'
    render(folder, 20, 1)
    path = folder / 'annotations/person_keypoints_train.json'
    coco = json.loads(path.read_text())
    for person in coco['annotations'][::4]:
        person.update(num_keypoints=0, keypoints=[0] * 51)
    cat = {'id': 9999, 'image_id': coco['images'][0]['id'], 'category_id': 17}
    coco['annotations'].append({**cat, 'bbox': [5, 5, 20, 20], 'area': 400, 'iscrowd': 0})
    coco['categories'].append({'id': 17, 'name': 'cat'})
    coco['info'] = {'year': 2026}
    path.write_text(json.dumps(coco))
    return path


def make(ann_file: Path, out: Path, *arguments: str) -> tuple[dict, dict]:
    assert main([str(ann_file), '--out', str(out), *arguments]) == 0
    manifest = out.with_name(f'{out.stem}.manifest.json')
    return json.loads(out.read_text()), json.loads(manifest.read_text())


def labelled(coco: dict) -> dict[int, int]:
    return {a['id']: a['image_id'] for a in coco['annotations'] if a.get('num_keypoints')}


def samples(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.mark.slow
@pytest.mark.parametrize('by', ['images', 'persons'])
@pytest.mark.parametrize('data_mode', ['topdown', 'bottomup'])
def test_stock_data_set_loads_from_it_what_the_wrapper_chooses(ann_file, tmp_path, by, data_mode):
    make(ann_file, tmp_path / 'subset.json', '--fraction', '0.3', '--by', by, '--seed', '4')
    config = dict(type='CocoDataset', data_mode=data_mode, ann_file=str(ann_file))
    wrapper = LabelSubset(dataset=config, fraction=0.3, by=by, seed=4)
    stock = CocoDataset(ann_file=str(tmp_path / 'subset.json'), data_mode=data_mode)
    ours, theirs = samples(wrapper), samples(stock)
    assert len(ours) > 2
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_equal(one, other)


@pytest.mark.parametrize('by', ['images', 'persons'])
def test_manifest_says_how_the_file_was_made(ann_file, tmp_path, by):
    source = json.loads(ann_file.read_text())
    subset, manifest = make(ann_file, tmp_path / 'a.json', '--number', '5', '--by', by)
    images = {image['id'] for image in subset['images']}
    kept = [a for a in source['annotations'] if a['image_id'] in images]
    assert images == set(labelled(subset).values())
    assert [a['id'] for a in subset['annotations']] == [a['id'] for a in kept]
    unlabelled = sum(bool(a.get('num_keypoints')) for a in kept) - len(labelled(subset))
    assert bool(unlabelled) == (by == 'persons')
    assert manifest == {
        'file': 'a.json',
        'sha256': hashlib.sha256((tmp_path / 'a.json').read_bytes()).hexdigest(),
        'source': {
            'file': ann_file.name,
            'sha256': hashlib.sha256(ann_file.read_bytes()).hexdigest(),
            'images': 20,
            'annotations': len(source['annotations']),
            'labelled_images': len(set(labelled(source).values())),
            'labelled_persons': len(labelled(source)),
        },
        'by': by,
        'fraction': None,
        'number': 5,
        'seed': 0,
        'images': len(images),
        'annotations': len(kept),
        'labelled_persons': len(labelled(subset)),
        'unlabelled_here': unlabelled,
        'unlabelled_here_without_segmentation': 0,
        'hsjp_mm': manifest['hsjp_mm'],
    }
    assert (len(images) if by == 'images' else len(labelled(subset))) == 5
    assert subset['categories'] == source['categories'] and subset['info'] == source['info']


def test_everything_but_the_keypoints_of_others_stays_as_it_was(ann_file, tmp_path):
    before = {a['id']: a for a in json.loads(ann_file.read_text())['annotations']}
    subset, _ = make(ann_file, tmp_path / 'a.json', '--fraction', '0.5', '--by', 'persons')
    changed = [a for a in subset['annotations'] if a != before[a['id']]]
    assert changed
    for person in changed:
        assert before[person['id']]['num_keypoints'] > 0
        assert person == {**before[person['id']], 'num_keypoints': 0, 'keypoints': [0] * 51}


def test_the_same_arguments_write_the_same_bytes(ann_file, tmp_path):
    for name in ('one', 'other'):
        make(ann_file, tmp_path / name / 'a.json', '--fraction', '0.2')
    for name in ('a.json', 'a.manifest.json'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'other' / name).read_bytes()


def test_stock_metric_takes_all_of_the_subset_and_no_more(ann_file, tmp_path):
    """Perfect results for the chosen persons have AP 1, with one of them missing less."""
    coco = json.loads(ann_file.read_text())
    del coco['annotations'][-1]  # the cat: the metric wants keypoints of all
    (tmp_path / 'persons.json').write_text(json.dumps(coco))
    make(tmp_path / 'persons.json', tmp_path / 'a.json', '--number', '8', '--by', 'persons')
    dataset = CocoDataset(ann_file=str(tmp_path / 'a.json'))
    results = [
        {
            'id': info['id'],
            'img_id': info['img_id'],
            'gt_instances': {'bbox_scales': np.ones((1, 2)), 'bbox_scores': np.ones(1)},
            'pred_instances': {
                'keypoints': info['keypoints'],
                'keypoint_scores': np.ones_like(info['keypoints_visible']),
            },
        }
        for info in samples(dataset)
    ]
    assert len(results) == 8
    precision = []
    for given in (results, results[:-1]):
        metric = CocoMetric(ann_file=str(tmp_path / 'a.json'), nms_mode='none')
        metric.dataset_meta = dataset.metainfo
        metric.process([], given)
        precision.append(metric.evaluate(len(given))['coco/AP'])
    assert precision[0] == pytest.approx(1)
    assert precision[1] < 0.95


def test_keypoints_of_feet_face_and_hands_go_as_well(ann_file, tmp_path):
    coco = json.loads(ann_file.read_text())
    for person in coco['annotations'][:-1]:
        person.update(foot_kpts=[7] * 18, foot_valid=True)
    (tmp_path / 'wholebody.json').write_text(json.dumps(coco))
    subset, _ = make(
        tmp_path / 'wholebody.json', tmp_path / 'a.json', '--number', '3', '--by', 'persons'
    )
    before = labelled(coco)
    for person in subset['annotations']:
        dropped = person['id'] in before and not person['num_keypoints']
        assert dropped or person.get('foot_kpts') in (None, [7] * 18)
        assert not dropped or (person['foot_kpts'], person['foot_valid']) == ([0] * 18, False)


def test_it_prints_what_it_wrote(ann_file, tmp_path, capsys):
    source = labelled(json.loads(ann_file.read_text()))
    subset, manifest = make(ann_file, tmp_path / 'a.json', '--number', '6', '--by', 'persons')
    printed = capsys.readouterr().out
    total = len(set(source.values()))
    assert f'{len(subset["images"])} of {total} images with labelled persons' in printed
    assert f' 6 of {len(source)} labelled persons; seed 0, manifest {tmp_path}/a.man' in printed
    assert f'{manifest["unlabelled_here"]} other persons in these images lost' in printed
    assert 'warning' not in printed
    coco = json.loads(ann_file.read_text())
    for person in coco['annotations']:
        person.pop('segmentation', None)
    (tmp_path / 'bare.json').write_text(json.dumps(coco))
    make(tmp_path / 'bare.json', tmp_path / 'b.json', '--number', '6', '--by', 'persons')
    expected = f'warning: {manifest["unlabelled_here"]} of them have no segmentation'
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--fraction', '1.5'), '--fraction=1.5 must be in (0, 1]'),
        (('--number', '0'), '--number=0 must be a whole number'),
        (('--number', '99'), '--number=99 makes 99 images; from 1 to '),
        (('--fraction', '0.001', '--by', 'persons'), '--fraction=0.001 makes 0 persons'),
    ],
)
def test_sizes_out_of_range_write_nothing(ann_file, tmp_path, arguments, message, capsys):
    assert main([str(ann_file), '--out', str(tmp_path / 'a.json'), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_files_that_do_not_fit_are_named(ann_file, tmp_path, capsys):
    (tmp_path / 'list.json').write_text('[]')
    (tmp_path / 'text.json').write_text('no')
    for path, message in (
        ('no-such.json', "ANNOTATIONS='no-such.json' does not exist"),
        (tmp_path / 'list.json', 'must be in COCO format'),
        (tmp_path / 'text.json', 'is no JSON'),
        (ann_file, 'must be another file than ANNOTATIONS='),
    ):
        out = ann_file if path == ann_file else tmp_path / 'out.json'
        assert main([str(path), '--out', str(out), '--number', '1']) == 2
        assert message in capsys.readouterr().err


def test_the_order_of_0_1_is_taken_with_a_word(ann_file, tmp_path, capsys):
    out = tmp_path / 'out.json'
    assert main([str(ann_file), '--number', '1', str(out)]) == 0
    assert f'write --out {out}' in capsys.readouterr().err
    assert out.is_file()
    with pytest.raises(SystemExit, match='2'):
        main([str(ann_file), '--number', '1'])
    assert '--out is needed' in capsys.readouterr().err


def test_the_file_itself_is_not_written_over(ann_file):
    with pytest.raises(ValueError, match=r"out='.*' is the ann_file itself"):
        write_subset(ann_file, ann_file, None, 1, 'images', 0)
