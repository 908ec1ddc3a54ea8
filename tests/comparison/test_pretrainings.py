"""What a pretraining came to, whatever its task, and which checkpoint is started from."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from hsjp_mm.comparison.gallery import boards_of
from hsjp_mm.comparison.logs import UnfinishedError
from hsjp_mm.comparison.pretrainings import pretext_of, read_pretraining
from hsjp_mm.models import HSJP
from hsjp_mm.models.pretext.base import Measure, PretextModel

CONFIG = """
model = dict(type='{model}', backbone=dict(type='ResNet', depth=18))
train_dataloader = dict(batch_size=4, dataset=dict(type='X'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20)
val_cfg = {val_cfg}
default_hooks = dict(
    logger=dict(type='LoggerHook', log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', save_best={save_best}))
randomness = dict(seed=3)
"""
LOG = """2026/01/02 10:00:00 - mmengine - INFO - environment
2026/01/02 10:01:30 - mmengine - INFO - ends
"""


@MODELS.register_module(force=True)
class MadeUpPretext(PretextModel):
    """A task that no file of the package knows."""

    measures = (
        Measure('made/up', 'things made up', share=True),
        Measure('made/cost', 'their cost, coins', digits=1),
        Measure('made/absent', 'of a branch that is not there'),
    )
    health = Measure('spark', 'spark')
    save_best = 'made/up'


def write(folder: Path, val: dict, model: str, save_best: str = 'None', val_cfg: str = 'dict()'):
    """Write what MMEngine leaves of 20 iterations."""
    stamp = folder / '20260102_100000'
    (stamp / 'vis_data').mkdir(parents=True)
    text = CONFIG.format(model=model, save_best=save_best, val_cfg=val_cfg)
    (stamp / 'vis_data/config.py').write_text(text)
    lines = [{'loss': 1.0, 'up': 0.1 * i, 'spark': 0.5, 'step': 10 * i} for i in (1, 2)]
    lines += [{**val, 'step': 10}, {**val, 'step': 20}] if val else []
    (stamp / 'vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    (stamp / 'run.log').write_text(LOG)
    for name in ('iter_10', 'iter_20'):
        save(folder / f'{name}.pth')
    (folder / 'last_checkpoint').write_text('/moved/since/iter_20.pth')


def save(path: Path) -> None:
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('x', path.name)


VAL = {'made/up': 0.75, 'made/up_chance': 0.25, 'made/cost': 12.34, 'step': 20}


def test_a_made_up_task_is_read_by_what_its_class_says(tmp_path):
    write(tmp_path, VAL, 'mmengine.MadeUpPretext', "'made/up'", 'dict(type="ValLoop")')
    save(tmp_path / 'best_made_up_iter_10.pth')
    save(tmp_path / 'best_made_up_iter_20.pth')
    (tmp_path / 'best_made_up_iter_30.pth').write_text('torn')
    save(tmp_path / 'best_other_iter_20.pth')
    one = read_pretraining(tmp_path, 'mine')
    assert one.rows() == [
        ('things made up', '0.750', '0.250'), ('their cost, coins', '12.3', ''),
    ]  # fmt: skip
    assert (one.iterations, one.images, one.seed, one.seconds) == (20, 80, 3, 90)
    assert one.start == 'best_made_up_iter_20.pth, the best by made/up'
    assert one.summary == 'made/up 0.750'
    assert one.health == Measure('spark', 'spark')


def test_without_a_best_checkpoint_the_last_is_started_from(tmp_path):
    write(tmp_path, VAL, 'mmengine.MadeUpPretext')
    assert read_pretraining(tmp_path, 'mine').start == 'iter_20.pth, the last'


def test_another_kind_of_pretraining_has_its_own_metric(tmp_path):
    val = {'coco/AP': 0.5, 'coco/AR': 0.6}
    write(tmp_path, val, 'mmpose.TopdownPoseEstimator', "['coco/AR', 'coco/AP']")
    one = read_pretraining(tmp_path, 'pose')
    assert one.rows() == [('coco/AR', '0.600', '')] and one.health is None
    assert one.start == 'iter_20.pth, the last'


def test_a_pretraining_without_evaluation(tmp_path):
    write(tmp_path, {}, 'mmengine.MadeUpPretext', val_cfg='None')
    one = read_pretraining(tmp_path, 'mine')
    assert one.rows() == [] and one.summary == '20 iterations'


def test_unfinished_pretrainings(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no run'):
        read_pretraining(tmp_path, 'x')
    write(tmp_path, VAL, 'mmengine.MadeUpPretext', val_cfg='dict(type="ValLoop")')
    (tmp_path / 'last_checkpoint').write_text('iter_10.pth')
    with pytest.raises(UnfinishedError, match='no checkpoint of the end, 20'):
        read_pretraining(tmp_path, 'x')
    scalars = tmp_path / '20260102_100000/vis_data/scalars.json'
    scalars.write_text('\n'.join(scalars.read_text().splitlines()[:-1]))
    with pytest.raises(UnfinishedError, match='evaluated at 10 of 20 iterations'):
        read_pretraining(tmp_path, 'x')


def test_classes_of_configs():
    assert pretext_of(Config(dict(model=dict(type='hsjp_mm.HSJP')))) is HSJP
    assert pretext_of(Config(dict(model=dict(type=HSJP)))) is HSJP
    assert pretext_of(Config(dict(model=dict(type='TopdownPoseEstimator')))) is None


def test_boards_of_the_first_and_the_last_evaluation_of_all_attempts(tmp_path):
    write(tmp_path, VAL, 'mmengine.MadeUpPretext')
    for stamp, step, gray in ((0, 10, 1), (0, 20, 2), (1, 20, 3), (1, 30, 4)):
        folder = tmp_path / f'2026010{stamp}_000000/vis_data/vis_image'
        folder.mkdir(parents=True, exist_ok=True)
        for number in (0, 1):
            image = np.full((4, 6, 3), 10 * gray + number, np.uint8)
            cv2.imwrite(str(folder / f'puzzle_{number}_{step}.png'), image)
        cv2.imwrite(str(folder / f'other_0_{step}.png'), image)
    boards, unread = boards_of(read_pretraining(tmp_path, 'mine'))
    assert not unread
    assert [(caption, image[0, 0, 0]) for caption, image in boards] == [
        ('mine, board 1 after 10 iterations', 10),
        ('mine, board 1 after 30 iterations', 40),
        ('mine, board 2 after 10 iterations', 11),
        ('mine, board 2 after 30 iterations', 41),
    ]
