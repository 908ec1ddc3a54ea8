"""Which persons count as labelled, without torch; LabelSubset's tests hold the choice itself."""

import json
import random
import subprocess
import sys

import pytest
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from hsjp_mm.datasets.coco_files import fill_empty_keypoints, read_coco
from hsjp_mm.datasets.stock_files import load_annotations
from hsjp_mm.datasets.subset_files import labelled_persons, write_subset
from tests.helpers import ROOT


def odd_person(rng: random.Random, number: int) -> dict:
    """A person with each rule of the stock data set broken now and then."""
    points = [rng.choice([0, rng.uniform(-5, 70)]) for _ in range(9)]
    points[2::3] = [rng.choice([0, 1, 2]) for _ in range(3)]
    if rng.random() < 0.2:
        points = [0] * 9
    box = [rng.uniform(-30, 70), rng.uniform(-30, 50), rng.uniform(-5, 60), rng.choice([9, 0, 9])]
    person = {
        'id': number, 'image_id': rng.randrange(5), 'category_id': 1, 'keypoints': points,
        'bbox': box, 'iscrowd': int(rng.random() < 0.1), 'num_keypoints': rng.choice([0, 1, 3]),
    }  # fmt: skip
    for key in ('bbox', 'keypoints', 'iscrowd', 'num_keypoints'):
        if rng.random() < 0.15:
            del person[key]
    return person


def test_the_same_persons_are_labelled_as_for_the_stock_data_set(tmp_path):
    rng = random.Random(0)
    images = [{'id': k, 'file_name': f'{k}.jpg', 'width': 64, 'height': 48} for k in range(4)]
    persons = [odd_person(rng, number) for number in range(600)]
    path = tmp_path / 'persons.json'
    categories = [{'id': 1, 'name': 'person'}]
    path.write_text(
        json.dumps({'images': images, 'annotations': persons, 'categories': categories})
    )
    dataset = BaseCocoStyleDataset(str(path), lazy_init=True)
    instances, _ = load_annotations(dataset)
    expected = {one['id']: one['img_id'] for one in instances if dataset._is_valid_instance(one)}
    assert 50 < len(expected) < 300
    coco = read_coco(path)
    fill_empty_keypoints(coco)
    assert {one['id']: one['img_id'] for one in labelled_persons(coco)} == expected


@pytest.mark.parametrize('empty', [[], None])
@pytest.mark.parametrize('mode', ['topdown', 'bottomup'])
def test_a_stock_data_set_loads_a_subset_of_persons_without_keypoints(tmp_path, empty, mode):
    points = [10, 10, 2] * 17
    persons = [
        dict(id=i, image_id=i // 2, category_id=1, bbox=[2, 2, 30, 30], area=900, iscrowd=0,
             num_keypoints=17 * (1 - i % 2), keypoints=empty if i % 2 else points)
        for i in range(8)
    ]  # fmt: skip
    images = [{'id': k, 'file_name': f'{k}.jpg', 'width': 64, 'height': 48} for k in range(4)]
    path = tmp_path / 'persons.json'
    categories = [{'id': 1, 'name': 'person'}]
    path.write_text(
        json.dumps({'images': images, 'annotations': persons, 'categories': categories})
    )
    write_subset(path, tmp_path / 'half.json', fraction=0.5)
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    stock = BaseCocoStyleDataset(str(tmp_path / 'half.json'), data_mode=mode, metainfo=metainfo)
    assert len(stock) == 2
    written = json.loads((tmp_path / 'half.json').read_text())['annotations']
    assert sorted(len(row['keypoints']) for row in written) == [51] * 4


def test_no_torch_is_imported():
    code = (
        'import sys; import hsjp_mm.datasets.subset_files; '
        'assert not {"torch", "mmpose"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
