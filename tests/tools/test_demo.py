"""The demo, on a few drawn people and for a few iterations."""

import runpy

import pytest

from hsjp_mm.comparison.execution import Comparison, Outcome
from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT
from tests.test_configs import read

demo = runpy.run_path(str(ROOT / 'tools/demo.py'))


@pytest.mark.slow
def test_the_pretexts_are_the_configs_that_are_there():
    assert {'hsjp', 'jigclu'} <= demo['PRETEXTS'].keys()
    assert all(name in path.name for name, path in demo['PRETEXTS'].items())
    # what has another network than the fine-tuning is not among them
    assert not {'hmr', 'hmr2', 'pare', 'i2l-meshnet', 'mae'} & demo['PRETEXTS'].keys()
    network = read(demo['FINE_TUNING']).model.backbone.type
    assert {read(path).model.backbone.type for path in demo['PRETEXTS'].values()} == {network}


@pytest.mark.slow
def test_configs_are_pointed_to_the_data(tmp_path):
    for path in (demo['FINE_TUNING'], *demo['PRETEXTS'].values()):
        config = demo['pointed'](path, tmp_path, '2017', ['train_cfg.max_iters=7'])
        dataset = config.val_dataloader.dataset
        assert dataset.data_root == str(tmp_path)
        assert dataset.ann_file == 'annotations/person_keypoints_val2017.json'
        assert dataset.data_prefix.img == 'val2017/'
        assert config.train_dataloader.dataset.data_prefix.img == 'train2017/'
        assert config.train_cfg.max_iters == 7
    config = demo['pointed'](demo['FINE_TUNING'], tmp_path, '', [])
    assert config.val_evaluator.ann_file == f'{tmp_path}/annotations/person_keypoints_val.json'


@pytest.mark.slow
def test_demo_comes_to_a_report(tmp_path, monkeypatch, capfd):
    """With either pretext; from scratch, which is the same for both, it is trained once."""
    render(tmp_path / 'toy', num_train=6, num_val=3)
    options = ['train_cfg.max_iters=4', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=4']
    options += ['default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1']
    monkeypatch.chdir(tmp_path)
    for pretext, boards, told, before in (
        ('hsjp', 4, 'hsjp, patches placed right: 0.', 0),
        ('jigclu', 1, 'jigclu, patches located right: ', 1),
    ):
        arguments = ['--pretext', pretext, '--out', str(tmp_path), '--cfg-options', *options]
        assert demo['main'](arguments) == 0
        said = capfd.readouterr().out
        assert told in said
        assert f'2 runs: {before} finished before' in said
        assert f'AP, {pretext}, 100 % of the labels: ' in said
        assert f'report: {tmp_path}/report.html' in said
        text = (tmp_path / 'report.html').read_text()
        assert '234 of 234 tensors' in text
        assert text.count('data:image/jpeg') == 2 * boards + 2  # first and last, poses of both

    # on other data, whose runs from scratch were done by another recipe
    assert demo['main']([*arguments, 'train_dataloader.batch_size=3']) == 2
    assert 'run anew (--rerun)' in capfd.readouterr().err


@pytest.mark.parametrize('rerun', [True, False])
def test_runs_of_another_recipe_are_run_anew_where_it_is_said(rerun, tmp_path, monkeypatch):
    asked = []

    def run(self: Comparison, jobs: int = 1, rerun: bool = False, tell=print) -> Outcome:
        asked.append(rerun)
        return Outcome([], [], [])

    monkeypatch.setattr(Comparison, 'run', run)
    arguments = ['--data', str(tmp_path), '--out', str(tmp_path / 'demo')]
    assert demo['main']([*arguments, *['--rerun'] * rerun]) == 0
    assert asked == [rerun]
