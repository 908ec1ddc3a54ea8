"""The page about own keypoints, followed on an export like CVAT's of four keypoints."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hsjp_mm.analysis.data_check import check_data
from tests.helpers import ROOT
from tests.test_readme import run, snippets

PAGE = ROOT / 'docs/own-keypoints.md'
KEYPOINTS, COMPLETE, HIGHERHRNET, PBN = snippets(PAGE.read_text())
SIZES = 160, 120  # width and height
POINTS = [60, 20, 2, 40, 60, 2, 80, 60, 1, 60, 100, 2]


def export() -> dict:
    """Two images, of two tracks and a person that was boxed alone."""
    people = [
        dict(image_id=1, bbox=[30.0, 10.0, 60.0, 100.0], keypoints=POINTS, num_keypoints=4),
        dict(image_id=1, bbox=[0.0, 0.0, 0.0, 0.0], keypoints=[], num_keypoints=0),
        dict(image_id=2, bbox=[0.0, 0.0, 0.0, 0.0], keypoints=[]),
        dict(image_id=2, bbox=[30.0, 10.0, 60.0, 100.0], keypoints=POINTS),
        dict(image_id=2, bbox=[100.0, 10.0, 40.0, 80.0]),
    ]
    return {
        'images': [
            dict(id=i, file_name=f'{i}.png', width=SIZES[0], height=SIZES[1]) for i in (1, 2)
        ],
        'annotations': [
            dict(person, id=i, category_id=1, attributes={'occluded': False, 'track_id': i})
            for i, person in enumerate(people, 1)
        ],
        'categories': [
            dict(id=1, name='person', keypoints=['head', 'left_hand', 'right_hand', 'feet'])
        ],
    }


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    """A user's folder, with the data as the page completes them."""
    folder = tmp_path_factory.mktemp('project')
    (folder / 'data/mine/annotations').mkdir(parents=True)
    (folder / 'data/mine/images').mkdir()
    rng = np.random.RandomState(0)
    for i in (1, 2):
        image = rng.randint(0, 256, (SIZES[1], SIZES[0], 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'data/mine/images/{i}.png'), image)
    for split in ('train', 'val'):
        path = folder / f'data/mine/annotations/person_keypoints_{split}.json'
        path.write_text(json.dumps(export()))
    (folder / 'keypoints.py').write_text(KEYPOINTS)
    (folder / 'complete.py').write_text(COMPLETE)
    subprocess.run([sys.executable, 'complete.py'], cwd=folder, check=True)
    return folder


def completed(folder: Path) -> dict:
    path = folder / 'data/mine/annotations/person_keypoints_train_complete.json'
    return json.loads(path.read_text())


def test_the_export_is_completed(project):
    labelled, empty, _, also_labelled, boxed = completed(project)['annotations']
    for person in (labelled, also_labelled):
        assert person['keypoints'] == POINTS and person['num_keypoints'] == 4
        assert person['area'] == 0.53 * 6000 and person['iscrowd'] == 0
    for person in (empty, boxed):
        assert person['keypoints'] == [0] * 12 and person['num_keypoints'] == 0
    assert empty['segmentation'] == [] and empty['area'] == 1
    assert boxed['segmentation'] == [[100, 10, 140, 10, 140, 90, 100, 90]]


def test_check_data_finds_what_is_missing_and_then_nothing(project):
    folder = project / 'data/mine/annotations'
    before = check_data(folder / 'person_keypoints_train.json', project / 'data/mine/images')
    for key in ('area', 'num_keypoints', 'iscrowd', 'segmentation'):
        assert any(f"annotations have no '{key}'" in problem for problem in before.problems)
    assert any('stops bottom-up training' in problem for problem in before.problems)
    path = folder / 'person_keypoints_train_complete.json'
    assert check_data(path, project / 'data/mine/images').problems == []


def train(project: Path, name: str, config: str, *options: str) -> list[dict]:
    """Train for two steps and validate; the lines of the log's scalars."""
    (project / f'{name}.py').write_text(config)
    run(
        project, 'train.py', f'{name}.py', '--cfg-options', 'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1', 'train_dataloader.batch_size=1', 'val_dataloader.batch_size=1',
        *[f'{split}_dataloader.num_workers=0' for split in ('train', 'val')],
        *[f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val')],
        'default_hooks.logger.interval=1', *options,
    )  # fmt: skip
    [log] = project.glob(f'work_dirs/{name}/*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_higherhrnet_trains_and_validates(project):
    small = [f'model.backbone.extra.stage{i}.num_modules=1' for i in (3, 4)]
    small += [
        'model.backbone.init_cfg=None',
        'model.head.num_blocks=1',
        'model.test_cfg.flip_test=False',
    ]
    *steps, validation = train(project, 'higherhrnet', HIGHERHRNET, *small)
    assert len(steps) == 2 and all(step['loss_kpt'] > 0 for step in steps)
    assert 0 <= validation['coco/AP'] <= 1


@pytest.mark.slow
def test_pbn_trains_and_validates(project):
    small = ('model.backbone.num_stacks=1', 'model.head.num_stages=1')
    *steps, validation = train(project, 'pbn', PBN, *small)
    assert len(steps) == 2 and all(step['loss_kpt'] > 0 for step in steps)
    assert 0 <= validation['coco/AP'] <= 1


@pytest.mark.slow
@pytest.mark.parametrize('line', ['decode_keypoint_order', 'metainfo='])
def test_the_message_of_the_page_is_that_of_the_launcher(project, line):
    """Without the line about the number, and without that about the data."""
    config = HIGHERHRNET
    if line == 'metainfo=':
        config = config.replace(",\n            metainfo=dict(from_file='keypoints.py')", '')
    else:
        config = '\n'.join(row for row in config.splitlines() if line not in row)
    assert config != HIGHERHRNET
    (project / 'wrong.py').write_text(config)
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/train.py', 'wrong.py'],
        cwd=project, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and not (project / 'work_dirs/wrong').exists()
    [text] = snippets(PAGE.read_text(), 'text')
    expected = ' '.join(text.split())
    if line == 'metainfo=':
        start, named = 'train_dataloader.dataset.metainfo has 17 keypoints (nose, ', done.stderr
        assert start in named and 'decode_keypoint_order has 4 keypoints' in named
    else:
        assert done.stderr.strip() == f'train.py: {expected}'
