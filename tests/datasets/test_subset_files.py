"""Which persons count as labelled, without torch; LabelSubset's tests hold the choice itself."""

import json
import random
import subprocess
import sys

from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from hsjp_mm.datasets.stock_files import load_annotations
from hsjp_mm.datasets.subset_files import labelled_persons
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
    assert {one['id']: one['img_id'] for one in labelled_persons(path)} == expected


def test_no_torch_is_imported():
    code = (
        'import sys; import hsjp_mm.datasets.subset_files; '
        'assert not {"torch", "mmpose"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
