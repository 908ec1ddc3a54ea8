"""The study in miniature: a few of its runs, each of a few steps."""

import json
import runpy
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from tests.helpers import ROOT

tool = runpy.run_path(str(ROOT / 'tools/study.py'))
main = tool['main']
TOY = tool['TOY'].resolve()  # what is run where no file is named


@pytest.fixture
def small(tmp_path) -> Path:
    """The study with few starts, one seed, one share of the labels, few images and steps."""
    study = Config.fromfile(TOY).to_dict()
    here = TOY.parent
    starts = {'PARE': ['hsjp'], 'HMR': ['scratch-2x']}
    for name, given in study['fine_tunings'].items():
        given.update(config=str(here / given['config']), starts=starts[name])
    pretrainings = {name: str(here / path) for name, path in study['pretrainings'].items()}
    data = {'data/toy/': dict(num_train=6, num_val=2, image_size=[96, 72], max_persons=1)}
    few = {
        'train_cfg.max_iters': 4, 'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.interval': 2, 'default_hooks.logger.interval': 1,
        'train_dataloader.batch_size': 3,
        **{
            f'{part}_dataloader.{name}': value
            for part in ('train', 'val')
            for name, value in (('num_workers', 0), ('persistent_workers', False))
        },
    }  # fmt: skip
    study.update(
        pretrainings=pretrainings, toy_bodies=data, labels=[0.5], seeds=[0],
        fine_tuning_budget=1.0, pretraining_budget=1.0,
        pretraining_options=few, fine_tuning_options=few,
    )  # fmt: skip
    path = tmp_path / 'small.yml'
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


@pytest.mark.slow
def test_the_toy_study_in_small(small, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main([str(small), '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert '1 run: 0 finished before' in said
    assert 'hsjp: fine-tunings start from best_hsjp_placed_iter_' in said
    results = {
        name: json.loads((out / name / 'labels-0.5/seed-0/result.json').read_text())
        for name in ('PARE/hsjp', 'HMR/scratch-2x')
    }
    assert {name: result['curve'][-1][0] for name, result in results.items()} == {
        'PARE/hsjp': 12,
        'HMR/scratch-2x': 24,
    }
    assert 'backbone: 234 of 234 tensors' in results['PARE/hsjp']['coverage']
    assert results['PARE/hsjp']['labels'].startswith('3 of 6 images')
    text = (out / 'report.html').read_text()
    assert '<td>hsjp</td>' in text and '<td>scratch-2x</td>' in text
    assert 'PARE/report.html' in text and 'Missing' not in text
    report = (out / 'PARE/report.html').read_text()
    assert 'PA-MPJPE (mm' in report and '56.37' not in report  # published of another start

    assert main([str(small), '--out', str(out)]) == 0  # at once, for all is there
    said = capsys.readouterr().out
    assert '1 pretraining: 1 finished before' in said and '1 run: 1 finished before' in said


def test_mistakes_are_one_sentence(small, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert main([str(small), '--out', str(tmp_path / 'file')]) == 2
    assert (
        f"--out='{tmp_path}/file' is a file; give the name of a folder" in capsys.readouterr().err
    )
    assert main([str(tmp_path / 'none.yml'), '--out', str(tmp_path / 'out')]) == 2
    assert 'does not exist' in capsys.readouterr().err
    small.write_text('title: odd\n')
    assert main([str(small), '--out', str(tmp_path / 'out')]) == 2
    assert 'fine_tunings, metric must be set' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
