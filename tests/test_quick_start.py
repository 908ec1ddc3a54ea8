"""Each line of "Your first changes" in the quick start does to the run what the page says."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from hsjp_mm.datasets import set_input_size
from tests.helpers import ROOT
from tests.test_readme import snippets

PAGE = (ROOT / 'docs/quick-start.md').read_text()
CONFIG = next(code for code in snippets(PAGE) if 'held_out' in code)
TABLE = PAGE.partition('### Your first changes')[2]
CHANGES = dict(re.findall(r'^\| ([^|]+?) \| `([^`]+)`(?: in `boxes`)? \|$', TABLE, re.M))


@pytest.fixture
def changed(tmp_path, tiny_coco, monkeypatch):
    """A function that reads the page's config after one line of it was changed."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_coco, 'data/mine')

    def change(old: str, new: str) -> Config:
        text = CONFIG.replace(old, new) if old else f'{CONFIG}{new}\n'
        assert text.count(new) == 1
        Path('mine.py').write_text(text)
        return Config.fromfile('mine.py')

    return change


def datasets(config: Config) -> list:
    loaders = (config.train_dataloader, config.val_dataloader, config.test_dataloader)
    return [DATASETS.build(loader.dataset) for loader in loaders]


def image_of(dataset) -> Path:
    """Of the first crop, which can be cut."""
    set_input_size(dataset, (64, 64))
    assert dataset[0]['inputs'].shape == (3, 64, 64)
    return Path(dataset.get_data_info(0)['img_path'])


def test_the_table_has_a_test_for_each_line():
    assert list(CHANGES) == [
        'the folder of the data', 'the annotation file', 'the folder of the images in it',
        'the size of the crops, width and height', 'the batch size',
    ]  # fmt: skip


def test_the_folder_of_the_data(changed):
    line = CHANGES['the folder of the data']
    shutil.copytree('data/mine', 'elsewhere')
    shutil.rmtree('data')
    for dataset in datasets(changed(line, line.replace('data/mine', 'elsewhere'))):
        assert image_of(dataset).parts[0] == 'elsewhere'


def test_the_annotation_file(changed):
    line = CHANGES['the annotation file']
    path = Path('data/mine/boxes.json')
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        annotation['id'] += 100
    path.with_name('others.json').write_text(json.dumps(content))
    for dataset in datasets(changed(line, line.replace('boxes', 'others'))):
        ids = [dataset.get_data_info(i)['id'] for i in range(len(dataset))]
        assert ids and min(ids) > 100


def test_the_folder_of_the_images(changed):
    line = CHANGES['the folder of the images in it']
    config = changed(line, line.replace('images', 'photos'))
    Path('data/mine/images').rename('data/mine/photos')
    for dataset in datasets(config):
        assert image_of(dataset).parent.name == 'photos'


@pytest.mark.slow
def test_the_size_of_the_crops(changed):
    line = CHANGES['the size of the crops, width and height']
    config = changed('', line.replace('192, 192', '96, 192'))
    model = MODELS.build(config.model)
    for dataset in datasets(config):
        with pytest.raises(RuntimeError, match='has not been told'):
            dataset[0]
        model.prepare(dataset)
        assert dataset[0]['inputs'].shape == (3, 192, 96)
    crops = dataset[0]['inputs'][None].float()
    assert model.make_puzzle(crops).inputs.shape == (1, 3, 192, 96)
    hooks = [hook['type'] for hook in config.default_hooks.values()]
    assert 'hsjp_mm.PrepareDataHook' in hooks


def test_the_batch_size(changed):
    line = CHANGES['the batch size']
    before = changed('', '# as it is')
    after = changed('train_dataloader = dict(dataset=boxes)', line)
    assert (before.train_dataloader.batch_size, after.train_dataloader.batch_size) == (64, 32)
    before.train_dataloader.batch_size = 32
    assert after.to_dict() == {**before.to_dict()}
