"""What the config of a fine-tuning says to a comparison."""

import pytest
from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import rule_of


def with_hook(**hook) -> Config:
    return Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', **hook))))


@pytest.mark.parametrize(
    ('metric', 'rule'),
    [
        *((name, 'greater') for name in (
            'coco/AP', 'coco/AP .5', 'coco/AR (M)', 'posetrack18/Total AP', 'coco/bbox_mAP', 'PCK',
            'PCK@0.2', 'PCKh@0.1', 'Head tPCK', '3DPCK', 'AUC', 'accuracy/top1', 'acc_pose', 'mIoU',
        )),
        *((name, 'less') for name in (
            'EPE', 'NME', 'MPJPE', 'PA-MPJPE', 'N-MPJPE', 'pampjpe', 'PVE', 'mpvpe', 'hsjp/error',
            'loss', 'val/loss_kpt',
        )),
    ],
)  # fmt: skip
def test_known_measures(metric, rule):
    assert rule_of(Config(), metric) == rule


@pytest.mark.parametrize(
    ('hook', 'metric', 'rule'),
    [
        (dict(save_best='my/score', rule='less'), 'my/score', 'less'),
        (dict(save_best=['a', 'my/score'], rule=['less', 'greater']), 'my/score', 'greater'),
        (dict(save_best=['a', 'my/score'], rule='less'), 'my/score', 'less'),
        (dict(save_best='auto', rule='less'), 'my/score', 'less'),
        (dict(rule='less'), 'my/score', 'less'),
        (dict(save_best='AUC', rule='greater'), 'EPE', 'less'),  # the word for another measure
        (dict(save_best='coco/AP'), 'coco/AP', 'greater'),
    ],
)
def test_the_hook_says_it(hook, metric, rule):
    assert rule_of(with_hook(**hook), metric) == rule


def test_the_argument_is_the_last_word():
    assert rule_of(with_hook(save_best='EPE', rule='less'), 'EPE', 'greater') == 'greater'
    with pytest.raises(ValueError, match=r"rule='more' must be one of"):
        rule_of(Config(), 'EPE', 'more')


@pytest.mark.parametrize(
    ('hook', 'metric', 'why'),
    [
        ({}, 'my/score', 'neither .* says it'),
        (dict(save_best='other', rule='less'), 'my/score', 'neither .* says it'),
        ({}, 'AP_error', 'both are said'),
        (dict(save_best='EPE', rule='greater'), 'EPE', 'both are said'),
    ],
)
def test_where_nothing_clear_is_said_it_is_refused(hook, metric, why):
    with pytest.raises(ValueError, match=rf"{why}.*--rule less.*save_best='{metric}'"):
        rule_of(with_hook(**hook), metric)
