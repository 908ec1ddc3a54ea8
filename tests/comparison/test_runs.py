"""Reading fine-tunings from work folders, and what is said of them."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from hsjp_mm.comparison import runs as runs_module
from hsjp_mm.comparison.fine_tuning_config import protocol_of
from hsjp_mm.comparison.logs import UnfinishedError
from hsjp_mm.comparison.runs import (
    FineTuning,
    collect,
    diagnose_all,
    parse_collected,
    percent,
    read_run,
    require_comparable,
)

CONFIG = """
model = dict(type='X', backbone=dict(type='R', depth=18, init_cfg={init}))
train_dataloader = dict(batch_size=4, dataset={dataset})
train_cfg = {loop}
optim_wrapper = dict(optimizer=dict(type='Adam', lr={lr}))
val_dataloader = dict(dataset=dict(type='CocoDataset', ann_file='v.json'))
val_evaluator = dict(type='CocoMetric', ann_file='v.json', outfile_prefix='{out}')
default_hooks = dict(logger=dict(type='LoggerHook', log_metric_by_epoch={by_epoch}))
randomness = dict(seed={seed})
"""
DATASET = "dict(type='CocoDataset', ann_file='t.json')"
BY_ITERATIONS = dict(loop="dict(type='IterBasedTrainLoop', max_iters=20)", by_epoch=False)


def config_text(**values) -> str:
    given = dict(
        init='None', dataset=DATASET, loop='dict(by_epoch=True, max_epochs=2)', by_epoch=True,
        lr=0.1, out='x', seed=3,
    )  # fmt: skip
    return CONFIG.format(**{**given, **values})


def write_attempt(folder: Path, stamp: str, lines: list[dict], log: str, **values) -> None:
    """Write what MMEngine leaves of one start of a run."""
    (folder / stamp / 'vis_data').mkdir(parents=True)
    (folder / stamp / 'vis_data/config.py').write_text(config_text(**values))
    text = '\n'.join(map(json.dumps, lines))
    (folder / stamp / 'vis_data/scalars.json').write_text(text)
    (folder / stamp / f'{stamp}.log').write_text(log)


LOG = """2026/01/02 10:00:00 - mmengine - INFO - environment
    seed: 77
    GPU number: 2
2026/01/02 10:00:10 - mmengine - INFO - backbone: 5 of 5 tensors, 9 of 9 parameters from a/b.pth
2026/01/02 10:00:11 - mmengine - INFO - LabelSubset: 2 of 4 images, 3 of 9 persons of t.json
2026/01/02 10:00:20 - mmengine - INFO - Epoch(train)  [1][  5/7]  loss: 1
2026/01/02 10:01:30 - mmengine - INFO - Epoch(val) [1][2/2]  coco/AP: 0.1
"""


@pytest.mark.parametrize(
    ('share', 'text'), [(0.005, '0.5'), (0.025, '2.5'), (0.07, '7'), (0.125, '12.5'), (1, '100')]
)
def test_shares_keep_their_digits(share, text):
    assert percent(share) == f'{text} %'


def test_epochs_are_counted_in_images(tmp_path):
    lines = [
        {'loss': 1, 'memory': 300, 'step': 5},
        {'coco/AP': 0.1, 'step': 1},
        {'loss': 1, 'memory': 400, 'step': 12},
        {'coco/AP': 0.3, 'step': 2},
    ]
    init = "dict(type='hsjp_mm.PretextInit', checkpoint='a/b.pth')"
    subset = f"dict(type='hsjp_mm.LabelSubset', dataset={DATASET}, fraction=0.5)"
    write_attempt(tmp_path, '20260102_100000', lines, LOG, init=init, dataset=subset)
    run = read_run(tmp_path)
    # 7 iterations an epoch, 4 images on each of 2 processes
    assert run.curve == [(56, 0.1), (112, 0.3)]
    assert (run.images, run.score, run.iterations) == (112, 0.3, 14)
    assert (run.init, run.fraction, run.seed) == ('b', 0.5, 3)
    assert (run.seconds, run.gpu_memory, run.host_memory) == (90, 400, None)
    assert run.coverage == 'backbone: 5 of 5 tensors, 9 of 9 parameters from a/b.pth'
    assert run.labels == '2 of 4 images, 3 of 9 persons'
    assert read_run(tmp_path, 'mine').init == 'mine'


def test_attempts_are_joined_and_the_later_one_counts(tmp_path):
    first = [{'coco/AP': 0.3, 'step': 10}, {'coco/AP': 0.9, 'coco/AR': 0.9, 'step': 20}]
    second = [{'coco/AP': 0.2, 'coco/AR': 0.4, 'data_time': 1.0, 'time': 2.0, 'step': 20}]
    write_attempt(tmp_path, '20260102_100000', first, LOG, **BY_ITERATIONS)
    write_attempt(tmp_path, '20260103_100000', second, LOG, **BY_ITERATIONS)
    run = read_run(tmp_path)
    assert run.curve == [(80, 0.3), (160, 0.2)]
    assert (run.score, run.best) == (0.2, 0.3)
    assert replace(run, rule='less').best == 0.2
    assert run.others == {'coco/AR': 0.4}
    assert run.seconds == 180
    assert run.init == 'scratch'


@pytest.mark.parametrize(
    ('init', 'name'),
    [
        ("[dict(type='Kaiming', layer='Conv2d')]", 'scratch'),
        ("[dict(type='Kaiming', layer='Conv2d'), dict(type='X', checkpoint='a/b.pth')]", 'b'),
    ],
)
def test_several_initialisers(init, name, tmp_path):
    lines = [{'loss': 1, 'step': 5}, {'coco/AP': 0.1, 'step': 2}]
    write_attempt(tmp_path, '20260102_100000', lines, LOG, init=init)
    assert read_run(tmp_path).init == name


def test_a_seed_that_only_the_log_says(tmp_path):
    lines = [{'coco/AP': 0.1, 'step': 20}]
    write_attempt(tmp_path, '20260102_100000', lines, LOG, **BY_ITERATIONS, seed='None')
    assert read_run(tmp_path).seed == 77


def test_unfinished_and_unreadable_runs(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no run'):
        read_run(tmp_path)
    half, none = tmp_path / 'half', tmp_path / 'none'
    write_attempt(half, '20260102_100000', [{'coco/AP': 0.1, 'step': 10}], LOG, **BY_ITERATIONS)
    with pytest.raises(UnfinishedError, match='evaluated at 10 of 20 iterations'):
        read_run(half)
    write_attempt(none, '20260102_100000', [{'loss': 1, 'step': 10}], LOG, **BY_ITERATIONS)
    with pytest.raises(UnfinishedError, match='no coco/AP yet of 20'):
        read_run(none)
    runs, failures = collect([half])
    assert runs == []
    assert (failures[0].folder, failures[0].log.splitlines()[-1][:10]) == (str(half), '2026/01/02')
    loop = {**BY_ITERATIONS, 'by_epoch': True}
    write_attempt(tmp_path / 'x', '20260102_100000', [{'coco/AP': 0.1, 'step': 0}], LOG, **loop)
    with pytest.raises(ValueError, match='log_metric_by_epoch=False'):
        read_run(tmp_path / 'x')


def test_a_measure_that_a_run_lacks_is_no_unfinished_run(tmp_path):
    lines = [{'coco/AP': 0.1, 'coco/AR': 0.2, 'time': 1.0, 'step': step} for step in (10, 20)]
    write_attempt(tmp_path, '20260102_100000', lines, LOG, **BY_ITERATIONS)
    for metric in ('coco/APP', 'AP'):
        with pytest.raises(ValueError, match=f"^metric='{metric}' is not .*: coco/AP, coco/AR$"):
            collect([tmp_path], metric=metric)
    # so it is of one that is half way
    half = tmp_path / 'half'
    write_attempt(half, '20260102_100000', lines[:1], LOG, **BY_ITERATIONS)
    with pytest.raises(UnfinishedError, match='no coco/APP yet of 20 iterations'):
        read_run(half, metric='coco/APP')


@pytest.mark.parametrize(
    ('text', 'parsed'),
    [
        ('c/a', ('', 'c/a')),
        ('mine=c/a/', ('mine', 'c/a/')),
        ('big=c/lr=0.1', ('big', 'c/lr=0.1')),
        ('runs/lr=0.1', ('', 'runs/lr=0.1')),
        ('./lr=0.1', ('', './lr=0.1')),
    ],
)
def test_a_folder_to_collect_may_have_a_name(text, parsed):
    assert parse_collected(text) == parsed


@pytest.mark.parametrize('text', ['', '=c/a', 'mine='])
def test_bad_folders_to_collect(text):
    with pytest.raises(ValueError, match='must be FOLDER or NAME=FOLDER'):
        parse_collected(text)


def test_names_of_folders_hold_however_these_are_written(tmp_path, monkeypatch):
    lines = [{'coco/AP': 0.1, 'step': 20}]
    write_attempt(tmp_path / 'c/a', '20260102_100000', lines, LOG, **BY_ITERATIONS)
    monkeypatch.chdir(tmp_path)
    for folder in ('c/a', 'c/a/', './c/a', 'c//a', str(tmp_path / 'c/a/')):
        for asked in (folder, Path(folder)):
            runs, _ = collect([asked], {folder: 'mine'})
            assert [run.init for run in runs] == ['mine']


def make(init: str, seed: int, score: float, fraction: float = 1.0, **values) -> FineTuning:
    given = dict(
        folder=f'w/{init}/{fraction}/{seed}', metric='coco/AP', rule='greater',
        curve=[(8, 0.0), (16, score)],
        iterations=4, seconds=1.0, coverage='c', labels='', protocol={'lr': 1},
    )  # fmt: skip
    return FineTuning(init, fraction, seed, **{**given, **values})


def test_runs_that_cannot_be_compared():
    one = make('a', 0, 0.1)
    require_comparable([one, make('a', 1, 0.1), make('b', 0, 0.1), make('a', 0, 0.1, 0.5)])
    for other, message in (
        (make('a', 0, 0.2, folder='elsewhere'), 'elsewhere and w/a/1.0/0 are both a with 1'),
        (make('b', 0, 0.2, protocol={'lr': 2}), 'another recipe than w/a/1.0/0: lr: 1, 2'),
        (make('b', 0, 0.2, curve=[(32, 0.2)]), 'has seen 32 images, w/a/1.0/0 16'),
        (make('b', 0, 0.2, rule='less'), 'takes the less coco/AP for the better one, w/a/1.0/0'),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            require_comparable([one, other])


def test_a_longer_run_is_compared_and_another_budget_is_not():
    once = make('a', 0, 0.1, curve=[(100, 0.1)])
    twice = make('b', 0, 0.2, curve=[(100, 0.1), (200, 0.2)], budget=2)
    runs_module.require_comparable([once, twice])
    with pytest.raises(ValueError, match=r'has seen 200 images, .* 100: not the same budget'):
        runs_module.require_comparable([once, replace(twice, budget=1)])
    with pytest.raises(
        ValueError, match=r'has 2 times the usual budget, .* 1 times, and both are a'
    ):
        runs_module.require_comparable([once, replace(twice, init='a', seed=1)])


def test_no_number_at_the_end_is_no_end(tmp_path):
    nan = float('nan')
    write_attempt(tmp_path, '20260102_100000', [{'coco/AP': nan, 'step': 20}], LOG, **BY_ITERATIONS)
    with pytest.raises(UnfinishedError, match='coco/AP is nan at the end'):
        read_run(tmp_path)


def test_what_is_better_of_a_run_that_was_read(tmp_path):
    lines = [{'EPE': 4.0, 'my/measure': 1.0, 'step': 20}]
    write_attempt(tmp_path, '20260102_100000', lines, LOG, **BY_ITERATIONS)
    assert read_run(tmp_path, metric='EPE').rule == 'less'
    assert read_run(tmp_path, metric='EPE', rule='greater').rule == 'greater'
    with pytest.raises(ValueError, match="metric='my/measure': is more of it better, or less"):
        read_run(tmp_path, metric='my/measure')
    # result.json of version 0.1 does not say it
    run = make('a', 0, 4.0, metric='EPE', rule='less')
    values = runs_module.to_result(run, {})
    del values['rule']
    (tmp_path / 'result.json').write_text(json.dumps(values))
    assert read_run(tmp_path, metric='EPE').rule == 'less'
    values['color'] = 'red'
    (tmp_path / 'result.json').write_text(json.dumps(values))
    with pytest.raises(
        ValueError, match=r'result.json was written by another version.*color.*put it aside'
    ):
        read_run(tmp_path, metric='EPE')


def test_the_logs_tell_what_the_result_does_not(tmp_path):
    lines = [{'coco/AP': step / 100, 'EPE': 9.0 - step / 10, 'step': step} for step in (10, 20)]
    write_attempt(tmp_path, '20260102_100000', lines, LOG, **BY_ITERATIONS)
    result = runs_module.to_result(replace(read_run(tmp_path), commands=['c']), {})
    (tmp_path / 'result.json').write_text(json.dumps(result))
    run = read_run(tmp_path, metric='EPE')
    assert (run.metric, run.rule, run.curve) == ('EPE', 'less', [(80, 8.0), (160, 7.0)])
    assert (run.others, run.commands) == ({'coco/AP': 0.2}, ['c'])
    with pytest.raises(ValueError, match=r"metric='PCK' is not .*: coco/AP, EPE$"):
        read_run(tmp_path, metric='PCK')
    shutil.rmtree(tmp_path / '20260102_100000')
    with pytest.raises(ValueError, match=r"metric='EPE', but .* was run for 'coco/AP'.*are gone"):
        read_run(tmp_path, metric='EPE')


def test_diagnosis_is_kept_until_the_predictions_change(tmp_path, monkeypatch):
    calls = []

    def diagnose(annotations, results, metainfo, iou_type, use_area):
        calls.append((annotations, Path(results).read_text(), metainfo, iou_type, use_area))
        return {'AP': len(calls)}

    monkeypatch.setattr(runs_module, 'diagnose', diagnose)
    protocol = protocol_of(Config.fromstring(config_text(), '.py'))
    run = make('a', 0, 0.1, folder=str(tmp_path), protocol=protocol)
    found, reasons = diagnose_all([run])
    assert not found and 'no predictions were kept' in reasons[str(tmp_path)]
    predictions = tmp_path / 'predictions.keypoints.json'
    predictions.write_text('[1]')
    assert diagnose_all([run]) == ({str(tmp_path): {'AP': 1}}, {})
    assert diagnose_all([run]) == ({str(tmp_path): {'AP': 1}}, {})
    predictions.write_text('[2]')
    assert diagnose_all([run])[0] == {str(tmp_path): {'AP': 2}}
    first, second = calls
    coco = {'from_file': 'configs/_base_/datasets/coco.py'}
    assert first == ('v.json', '[1]', coco, 'keypoints', True)
    assert second[1] == '[2]'
    (tmp_path / 'errors.json').write_text('{}')  # of something else: it costs this one alone
    assert diagnose_all([run]) == ({}, {str(tmp_path): "KeyError: 'predictions_sha256'"})
    protocol['val_evaluator']['type'] = 'PCKAccuracy'
    predictions.write_text('[3]')
    assert 'the evaluation is by PCKAccuracy' in diagnose_all([run])[1][str(tmp_path)]


@pytest.mark.parametrize(
    ('dataset', 'found'),
    [
        (dict(type='AP10KDataset'), {'from_file': 'configs/_base_/datasets/ap10k.py'}),
        (dict(type='AP10KDataset', metainfo=dict(from_file='my.py')), {'from_file': 'my.py'}),
        (dict(type='CocoDataset', metainfo=dict(keypoint_info={})), {'keypoint_info': {}}),
    ],
)
def test_errors_are_of_the_keypoints_that_the_data_set_has(dataset, found, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        runs_module, 'diagnose', lambda *args, **kwargs: given.append(args[2]) or {'AP': 0}
    )
    protocol = protocol_of(Config.fromstring(config_text(), '.py'))
    protocol['val_dataloader']['dataset'] = dataset
    (tmp_path / 'predictions.keypoints.json').write_text('[]')
    diagnose_all([make('a', 0, 0.1, folder=str(tmp_path), protocol=protocol)])
    assert given == [found]


def test_without_known_keypoints_nothing_is_diagnosed(tmp_path):
    protocol = protocol_of(Config.fromstring(config_text(), '.py'))
    protocol['val_dataloader']['dataset'] = dict(type='MyDataset')
    (tmp_path / 'predictions.keypoints.json').write_text('[]')
    _, reasons = diagnose_all([make('a', 0, 0.1, folder=str(tmp_path), protocol=protocol)])
    assert "neither metainfo nor the class 'MyDataset'" in reasons[str(tmp_path)]
