"""The comparison of initialisations on a few drawn people, with real trainings."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from hsjp_mm.comparison.runs import read_run
from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

CONFIG = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
main = runpy.run_path(str(ROOT / 'tools/compare_inits.py'))['main']


SCRATCH = [str(CONFIG), '--init', 'scratch', '--work-dir', 'w']


@pytest.fixture(scope='module')
def arguments(tmp_path_factory) -> list[str]:
    """Two runs of two iterations."""
    folder = tmp_path_factory.mktemp('compare')
    render(folder / 'toy', num_train=6, num_val=2)
    torch.manual_seed(0)
    backbone = MODELS.build(Config.fromfile(CONFIG).model.backbone)
    torch.save(backbone.state_dict(), folder / 'weights.pth')
    options = [f'{split}_dataloader.dataset.data_root={folder}/toy' for split in ('train', 'val')]
    options += [f'val_evaluator.ann_file={folder}/toy/annotations/person_keypoints_val.json']
    options += ['train_dataloader.dataset.indices=None', 'train_dataloader.batch_size=2']
    options += ['train_cfg.max_iters=2', 'train_cfg.val_interval=1']
    options += ['default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.max_keep_ckpts=2']
    options += ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    options += ['val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False']
    options += ['default_hooks.logger.interval=1']
    return [
        str(CONFIG), '--init', 'scratch', '--init', f'loaded={folder}/weights.pth',
        '--labels', '0.5', '--seeds', '0', '--work-dir', str(folder / 'runs'),
        '--cfg-options', *options,
    ]  # fmt: skip


@pytest.mark.slow
def test_runs_resumes_reports_and_collects(arguments, tmp_path, capsys):
    runs = Path(arguments[arguments.index('--work-dir') + 1])
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert '2 runs: 0 finished before, 0 to be resumed, 2 to be started' in said
    assert 'no order can be given, for of one seed nothing is known' in said
    assert f'report: {runs}/report.html' in said
    folder = runs / 'loaded/labels-0.5/seed-0'
    result = json.loads((folder / 'result.json').read_text())
    assert [images for images, _ in result['curve']] == [2, 4]
    assert 'backbone: 234 of 234 tensors' in result['coverage']
    assert result['labels'].startswith('3 of 6 images')
    text = (runs / 'report.html').read_text()
    assert '234 of 234 tensors' in text and 'Kinds of error' in text

    # as if killed while the second iteration was evaluated
    (folder / 'result.json').unlink()
    for scalars in folder.glob('*/vis_data/scalars.json'):
        lines = scalars.read_text().splitlines()
        assert '"step": 2' in lines[-1]
        scalars.write_text('\n'.join(lines[:-1]))
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert '2 runs: 1 finished before, 1 to be resumed, 0 to be started' in said
    assert 'goes on from iter_1.pth' in said
    again = json.loads((folder / 'result.json').read_text())
    assert again['commands'][1].endswith('iter_1.pth') and len(again['commands']) == 2
    assert again['curve'][0] == result['curve'][0]

    # what stock training leaves, without our result.json, says the same
    bare = tmp_path / 'bare'
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns('*.pth'))
    (bare / 'result.json').unlink()
    read = read_run(bare)
    assert [list(point) for point in read.curve] == again['curve']
    assert (read.init, read.fraction, read.seed) == ('weights', 0.5, 0)
    assert read.protocol == again['protocol']
    other = runs / 'scratch/labels-0.5/seed-0'
    report = tmp_path / 'new/report.html'
    assert main(['--collect', f'mine={bare}', str(other), '--report', str(report)]) == 0
    assert '<td>mine</td>' in report.read_text()


MADE_UP = """
import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS

from hsjp_mm.models.pretext.base import Measure, PretextModel


def draw(model, inputs, data_samples, fixed):
    return [('a gray board', np.full((20, 30, 3), 128, np.uint8))]


@METRICS.register_module()
class Brightness(BaseMetric):
    default_prefix = 'bright'

    def process(self, data_batch, data_samples):
        self.results += [sample['brightness'] for sample in data_samples]

    def compute_metrics(self, results):
        return {'error': float(np.mean(results)), 'error_chance': 1.0}


@MODELS.register_module()
class BrightnessHead(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 1)

    def forward(self, feats):
        return self.layer(feats[0].mean((2, 3)))[:, 0]


@MODELS.register_module()
class GuessBrightness(PretextModel):
    measures = (Measure('bright/error', 'error of the brightness', digits=2),)
    health = Measure('spread', 'spread of the guesses')
    save_best = 'bright/error'
    board = 'made_up.draw'

    def __init__(self, backbone, data_preprocessor):
        head = dict(type='mmengine.BrightnessHead')
        super().__init__(backbone=backbone, head=head, data_preprocessor=data_preprocessor)

    def loss(self, inputs, data_samples):
        guess = self.head(self.extract_feat(inputs))
        loss = (guess - inputs.mean((1, 2, 3))).square().mean()
        return {'loss_brightness': loss, 'spread': guess.detach().std()}

    def predict(self, inputs, data_samples):
        guess = self.head(self.extract_feat(inputs))
        for sample, error in zip(data_samples, (guess - inputs.mean((1, 2, 3))).abs()):
            sample.brightness = float(error)
        return data_samples
"""


@pytest.mark.slow
def test_from_a_folder_of_photographs_to_the_report_by_a_made_up_task(
    arguments, tmp_path, capsys, monkeypatch
):
    toy = Path(arguments[arguments.index('--work-dir') + 1]).parent / 'toy'
    (tmp_path / 'made_up.py').write_text(MADE_UP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}:{tmp_path}')
    base = ROOT / 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'
    (tmp_path / 'made_up_config.py').write_text(
        f"_base_ = ['{base}']\n"
        "custom_imports = dict(imports=['made_up'])\n"
        "model = dict(_delete_=True, type='mmengine.GuessBrightness', "
        'backbone=_base_.hrnet_tiny, data_preprocessor=_base_.data_preprocessor)\n'
        "val_evaluator = dict(_delete_=True, type='mmengine.Brightness')\n"
        'test_evaluator = val_evaluator\n'
        "default_hooks = dict(checkpoint=dict(save_best='bright/error', rule='less'))\n"
    )
    options = [
        f'{split}_dataloader.dataset.{key}' for split in ('train', 'val') for key in (
            'data_root=', 'ann_file=', f'data_prefix.img={toy}/{split}',
            'pipeline.2.input_size=96,96',  # which this model does not tell
        )
    ]  # fmt: skip
    options += [
        'train_cfg.max_iters=2',
        'train_cfg.val_interval=1',
        'train_dataloader.batch_size=3',
    ]
    options += ['default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1']
    options += ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    options += ['val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False']
    work = arguments.index('--work-dir')
    asked = [
        arguments[0], '--pretrain', f'mine={tmp_path}/made_up_config.py', '--seeds', '0',
        '--work-dir', str(tmp_path / 'runs'), '--pretrain-cfg-options', *options,
        *arguments[work + 2 :],
    ]  # fmt: skip
    assert main(asked) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert 'mine, error of the brightness: ' in said and '(by chance 1.00)' in said
    assert 'the best by bright/error' in said
    assert 'AP, mine, 100 % of the labels: ' in said
    recipe = json.loads((tmp_path / 'runs/mine/pretraining/recipe.json').read_text())
    assert set(recipe['data']) == {f'{toy}/train', f'{toy}/val'}
    text = (tmp_path / 'runs/report.html').read_text()
    assert 'mmengine.GuessBrightness: 2 iterations, 6 images' in text
    assert 'spread of the guesses, in training' in text
    assert text.count('data:image/jpeg') == 2 + 1  # boards of both evaluations, poses


@pytest.mark.slow
def test_a_failed_run_is_told_and_status_1(arguments, tmp_path, capsys, monkeypatch):
    script = tmp_path / 'train.py'
    script.write_text("raise RuntimeError('out of memory')")
    monkeypatch.setattr('hsjp_mm.comparison.execution.TRAIN', script)
    work = arguments.index('--work-dir') + 1
    assert main([*arguments[:work], str(tmp_path / 'runs'), *arguments[work + 1 :]]) == 1
    said = capsys.readouterr()
    assert said.out.count('FAILED: exit status 1') == 2
    assert 'RuntimeError: out of memory' in said.out
    assert 'no run is finished: no report' in said.out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--collect', '/nowhere', '--report', 'r.html'], 'holds no run'),
        (
            ['--collect', 'a=/none/a', '--collect', 'b=/none/b', '--report', 'r.html'],
            '/none/a holds no run',
        ),
        ([str(CONFIG), '--pretrain', 'hsjp', '--work-dir', 'w'], 'NAME=CONFIG'),
        ([str(CONFIG), '--pretrain', 'a=no.py', '--work-dir', 'w'], 'no.py'),
        ([str(CONFIG), '--init', 'hsjp', '--work-dir', 'w'], 'NAME=CHECKPOINT'),
        ([str(CONFIG), *['--init', 'scratch'] * 2, '--work-dir', 'w'], 'names must differ'),
        (['no.py', '--init', 'scratch', '--work-dir', 'w'], 'no.py'),
        ([*SCRATCH, '--report', 'r.csv'], "--report='r.csv' must be an HTML file"),
        (
            [*SCRATCH, '--report', str(ROOT)],
            f"--report='{ROOT}' is a folder; give the name of a file",
        ),
        ([*SCRATCH, '--labels', '1.5'], '--labels: 1.5 must be in (0, 1]'),
        ([*SCRATCH, '--labels', '0.1', '0.1'], '--labels=[0.1, 0.1] must be one or more'),
        ([*SCRATCH, *['--labels', '0.1'] * 2], '--labels=[0.1, 0.1] must be one or more'),
        ([*SCRATCH, *['--seeds', '4'] * 2], '--seeds=[4, 4] must be one or more, each once'),
        ([*SCRATCH, '--seeds', '-1'], '--seeds: -1 must not be negative'),
        (
            [*SCRATCH, '--metric', 'foo'],
            "--metric='foo': is more of it better, or less? neither the checkpoint hook of the "
            'config nor its name says it. Say it by --rule, greater or less, or write in the '
            "config default_hooks = dict(checkpoint=dict(save_best='foo', rule='less'))",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['c.py', '--init', 'scratch'], '--out are needed, or --collect'),
        (
            ['c.py', '--collect', 'x', '--report', 'r.html'],
            'neither CONFIG, --init nor --pretrain',
        ),
        *(
            (
                ['--collect', 'x', '--report', 'r.html', *option.split()],
                f'{option.split()[0]} is for',
            )
            for option in ('--seeds 2', '--labels 0.1', '--longer a=2', '--rerun', '--jobs 2')
        ),
    ],
)
def test_unclear_arguments(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
