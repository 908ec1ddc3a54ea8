"""What the config of a fine-tuning says to a comparison."""

import pytest
from mmengine.config import Config

from hsjp_mm.comparison.fine_tuning_config import (
    differences,
    evaluators_of,
    fraction_of,
    protocol_of,
    require_metric,
    require_names,
    rule_of,
    whole_checkpoint_of,
)
from tests.comparison.test_runs import DATASET, config_text


def with_hook(**hook) -> Config:
    return Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', **hook))))


@pytest.mark.parametrize(
    ('metric', 'rule'),
    [
        *((name, 'greater') for name in (
            'coco/AP', 'coco/AP .5', 'coco/AR (M)', 'posetrack18/Total AP', 'coco/bbox_mAP', 'PCK',
            'PCK@0.2', 'PCKh@0.1', 'Head tPCK', '3DPCK', 'AUC', 'accuracy/top1', 'acc_pose', 'mIoU',
            'mae/explained',
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
    with pytest.raises(ValueError, match=rf"{why}.*`rule`.*save_best='{metric}'"):
        rule_of(with_hook(**hook), metric)


COCO, PCK = dict(type='CocoMetric'), dict(type='PCKAccuracy')


@pytest.mark.parametrize(
    ('evaluator', 'metric'),
    [
        (COCO, 'coco/AP'),
        ([COCO, dict(type='hsjp_mm.LSPPCK')], 'pck/mean'),
        (dict(COCO, prefix='own'), 'own/AP'),
        (dict(type='MultiDatasetEvaluator', metrics=[COCO, COCO]), 'coco/AP'),
        ([COCO, PCK], 'PCK'),  # its measures begin with nothing
        (dict(type='elsewhere.Metric'), 'anything/AP'),  # its class is not known
        (None, 'coco/AP'),
    ],
)
def test_measures_that_the_evaluation_may_have(evaluator, metric):
    require_metric(Config(dict(val_evaluator=evaluator)), metric)


@pytest.mark.parametrize(
    ('evaluator', 'metric', 'allowed'),
    [
        (COCO, 'cocoa/AP', 'coco/'),
        (dict(COCO, prefix='own'), 'coco/AP', 'own/'),
        ([COCO, dict(type='hsjp_mm.LSPPCK')], 'AP', 'coco/ or pck/'),
    ],
)
def test_a_measure_that_it_cannot_have(evaluator, metric, allowed):
    with pytest.raises(ValueError, match=f"metric='{metric}' must begin with {allowed}, as"):
        require_metric(Config(dict(val_evaluator=evaluator)), metric)


def parse(text: str) -> Config:
    return Config.fromstring(text, '.py')


def test_protocol_is_all_but_initialisation_seed_labels_and_names():
    subset = f"dict(type='hsjp_mm.LabelSubset', dataset={DATASET}, fraction=0.5, seed=8)"
    one = protocol_of(parse(config_text()))
    other = config_text(init="dict(type='Pretrained')", dataset=subset, seed=9, out='elsewhere')
    assert one == protocol_of(parse(other))
    resumed = parse(other + "resume = True\nload_from = 'iter_5.pth'\n")
    assert one == protocol_of(resumed)
    assert list(differences(one, protocol_of(parse(config_text(lr=0.2))))) == [
        'optim_wrapper.optimizer.lr: 0.1, 0.2'
    ]
    loaded = protocol_of(parse(config_text() + "load_from = 'pose.pth'\n"))
    assert list(differences(one, loaded)) == ['load_from: absent, pose.pth']
    with pytest.raises(ValueError, match='this one has a number'):
        fraction_of(parse(config_text(dataset=subset.replace('fraction=0.5', 'number=5'))))


SUBSET = dict(type='hsjp_mm.LabelSubset', fraction=0.5, dataset=dict(type='A'))


@pytest.mark.parametrize(
    ('dataset', 'fraction', 'whole'),
    [
        (dict(type='A'), 1.0, dict(type='A')),
        (SUBSET, 0.5, dict(type='A')),
        (
            dict(type='CombinedDataset', datasets=[SUBSET, dict(SUBSET, dataset=dict(type='B'))]),
            0.5,
            dict(type='CombinedDataset', datasets=[dict(type='A'), dict(type='B')]),
        ),
        (
            dict(SUBSET, dataset=dict(type='CombinedDataset', datasets=[dict(type='A')] * 2)),
            0.5,
            dict(type='CombinedDataset', datasets=[dict(type='A')] * 2),
        ),
        (dict(type='RepeatDataset', dataset=SUBSET, times=2), 0.5,
         dict(type='RepeatDataset', dataset=dict(type='A'), times=2)),
    ],
)  # fmt: skip
def test_share_of_the_labels_inside_wrappers(dataset, fraction, whole):
    config = Config(dict(model=dict(backbone={}), train_dataloader=dict(dataset=dataset)))
    assert fraction_of(config) == fraction
    assert protocol_of(config)['train_dataloader']['dataset'] == whole


def test_parts_of_different_shares_are_refused():
    parts = [SUBSET, dict(type='B')]
    config = Config(
        dict(train_dataloader=dict(dataset=dict(type='CombinedDataset', datasets=parts)))
    )
    with pytest.raises(ValueError, match=r'have several: 0\.5, 1\.0'):
        fraction_of(config)


def test_metrics_inside_a_multi_dataset_evaluator_are_found():
    metrics = [dict(type='CocoMetric'), dict(type='PCKAccuracy')]
    one = dict(type='MultiDatasetEvaluator', metrics=metrics, datasets=[])
    assert evaluators_of(dict(val_evaluator=one)) == metrics
    assert evaluators_of(dict(val_evaluator=metrics)) == metrics
    assert evaluators_of(dict(val_evaluator=metrics[0])) == metrics[:1]
    assert evaluators_of({}) == []


def test_a_checkpoint_for_the_whole_model_is_seen_wherever_it_stands():
    backbone = dict(backbone=dict(type='ResNet', init_cfg=dict(checkpoint='backbone.pth')))
    assert whole_checkpoint_of(Config(dict(model=backbone))) is None
    init_cfg = [dict(type='Normal'), dict(type='Pretrained', checkpoint='pose.pth')]
    for given in (init_cfg, init_cfg[1]):
        assert whole_checkpoint_of(Config(dict(model=dict(init_cfg=given)))) == 'pose.pth'
    loaded = dict(model=backbone, load_from='pose.pth')
    assert whole_checkpoint_of(Config(loaded)) == 'pose.pth'
    assert whole_checkpoint_of(Config(dict(loaded, resume=True))) is None


def test_classes_in_place_of_names_are_refused():
    config = parse(config_text())
    require_names(config)
    config.train_dataloader.dataset.type = dict
    message = r"train_dataloader\.dataset\.type is <class 'dict'>; .* such as type='dict'"
    with pytest.raises(ValueError, match=message):
        require_names(config)
