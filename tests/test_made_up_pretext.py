"""A pretext task that the package has never heard of, from its files to a fine-tuned model.

The three files of ``PACKAGE`` are all that a user writes; nothing of hsjp_mm is touched.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hsjp_mm.checkpoint import load_backbone
from tests.helpers import ROOT

PACKAGE = {
    'turned/model.py': '''
        """Tell by how many quarters a crop was turned."""
        import torch
        from mmengine.structures import InstanceData
        from mmpose.registry import MODELS
        from torch import nn

        from hsjp_mm.models import Measure, PretextModel


        @MODELS.register_module()
        class TurnedHead(nn.Module):
            def __init__(self, in_channels):
                super().__init__()
                self.linear = nn.Linear(in_channels, 4)

            def forward(self, feats):
                return self.linear(feats[-1].mean(dim=(2, 3)))


        @MODELS.register_module()
        class Turned(PretextModel):
            measures = (Measure('turned/right', 'crops whose turn was told', share=True),)
            health = Measure('confidence', 'mean probability of the answer')
            save_best = 'turned/right'
            min_batch = 1
            board = 'turned.board.draw'

            def __init__(self, **estimator):
                super().__init__(identity={'turns': 4}, **estimator)
                self.told = []

            def prepare(self, dataset):
                self.told.append(len(dataset))

            def turn(self, inputs, turns):
                pairs = zip(inputs, turns.tolist())
                return torch.stack([image.rot90(k, (1, 2)) for image, k in pairs])

            def loss(self, inputs, data_samples=None):
                turns = torch.randint(4, (len(inputs),))
                scores = self.head(self.extract_feat(self.turn(inputs, turns)))
                return {
                    'loss_turn': nn.functional.cross_entropy(scores, turns),
                    'right': (scores.argmax(1) == turns).float().mean(),
                    'confidence': scores.softmax(1).amax(1).mean(),
                }

            def predict(self, inputs, data_samples):
                turns = torch.arange(len(inputs)) % 4
                scores = self.head(self.extract_feat(self.turn(inputs, turns)))
                for sample, score, turn in zip(data_samples, scores, turns):
                    sample.pred_instances = InstanceData(right=(score.argmax() == turn)[None])
                return data_samples
        ''',
    'turned/board.py': '''
        """Picture of the crops."""
        import numpy as np

        def draw(model, inputs, data_samples, fixed):
            picture = inputs[0].permute(1, 2, 0).clamp(0, 255).byte().cpu().numpy()
            return [(f'{len(inputs)} crops', np.ascontiguousarray(picture))]
        ''',
    'turned/metric.py': '''
        """The share of crops whose turn was told."""
        from mmengine.evaluator import BaseMetric
        from mmpose.registry import METRICS


        @METRICS.register_module()
        class TurnedMetric(BaseMetric):
            default_prefix = 'turned'

            def process(self, data_batch, data_samples):
                self.results += [bool(s['pred_instances']['right'][0]) for s in data_samples]

            def compute_metrics(self, results):
                return {'right': sum(results) / len(results), 'right_chance': 0.25}
        ''',
}
CONFIG = """
_base_ = ['{root}/configs/_base_/person-crops_coco-224x224.py',
          '{root}/configs/_base_/hrnet-tiny.py']
custom_imports = dict(imports=['turned.model', 'turned.board', 'turned.metric'])
model = dict(type='Turned', backbone=_base_.hrnet_tiny,
             head=dict(type='TurnedHead', in_channels=16),
             data_preprocessor=_base_.data_preprocessor)
pipeline = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=(64, 64)), dict(type='PackPoseInputs')]
data = dict(data_root='{data}', ann_file='boxes.json', data_prefix=dict(img='images'),
            pipeline=pipeline)
train_dataloader = dict(batch_size=2, num_workers=0, dataset=data)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_evaluator = dict(type='TurnedMetric')
test_dataloader = test_cfg = test_evaluator = None
val_cfg = dict()
train_cfg = dict(max_epochs=2, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(save_best='turned/right', rule='greater'),
                     logger=dict(interval=1))
custom_hooks = [dict(type='hsjp_mm.PrepareDataHook'), dict(type='hsjp_mm.SeedHook'),
                dict(type='hsjp_mm.SkippedImagesHook'),
                dict(type='hsjp_mm.PuzzleVisualizationHook', num_samples=2)]
randomness = dict(seed=0)
"""


@pytest.fixture(scope='module')
def place(tmp_path_factory, tiny_coco) -> Path:
    """A folder of a user with the made-up pretext, pretrained."""
    folder = tmp_path_factory.mktemp('made_up')
    for name, text in PACKAGE.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        lines = text.strip('\n').splitlines()
        path.write_text('\n'.join(line.removeprefix(' ' * 8) for line in lines) + '\n')
    (folder / 'turned/__init__.py').touch()
    (folder / 'pretrain.py').write_text(CONFIG.format(root=ROOT, data=tiny_coco))
    run(folder, 'train.py', 'pretrain.py', '--work-dir', 'work')
    return folder


def run(folder: Path, tool: str, *arguments: str) -> str:
    """Run a tool as the user would, with the made-up package on the path."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *arguments],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{folder}', 'PYTHONWARNINGS': 'ignore'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.slow
def test_training_logs_its_measures_and_draws_its_boards(place):
    (scalars,) = place.glob('work/*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    validations = [line['turned/right'] for line in lines if 'turned/right' in line]
    assert len(validations) == 2 and all(0 <= value <= 1 for value in validations)
    assert all(
        {'right', 'confidence', 'loss_turn'} <= line.keys() for line in lines if 'lr' in line
    )
    boards = sorted(path.name for path in place.glob('work/*/vis_data/vis_image/*.png'))
    assert boards == ['puzzle_0_3.png', 'puzzle_0_6.png']
    assert cv2.imread(str(next(place.glob('work/*/vis_data/vis_image/*.png')))).shape == (64, 64, 3)


@pytest.mark.slow
def test_the_best_checkpoint_is_exported_with_its_identity_and_measures(place):
    (best,) = place.glob('work/best_turned_right_*.pth')
    printed = run(place, 'extract_backbone.py', str(best), 'exported/turned.safetensors')
    assert 'turned/right' in printed and 'turns: 4' in printed
    (exported,) = place.glob('exported/turned-*.safetensors')
    sys.path.insert(0, str(place))
    try:
        import turned.model  # noqa: F401
    finally:
        sys.path.remove(str(place))
    from mmengine import Config
    from mmpose.registry import MODELS

    backbone = MODELS.build(Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny)
    coverage = load_backbone(backbone, exported)
    trained = torch.load(best, weights_only=False)['state_dict']
    assert coverage.ok and not coverage.unexpected
    name, value = next(iter(backbone.state_dict().items()))
    assert torch.equal(value, trained[f'backbone.{name}'])


@pytest.mark.slow
def test_puzzles_can_be_browsed(place):
    run(place, 'browse_puzzles.py', 'pretrain.py', '--num', '3', '--out', 'browsed')
    assert [path.name for path in place.glob('browsed/*.png')] == ['val_0.png']


@pytest.mark.slow
def test_its_backbone_is_probed(place):
    (best,) = place.glob('work/best_turned_right_*.pth')
    rng = np.random.RandomState(0)
    for part, name, level in itertools.product(('train', 'val'), ('dark', 'light'), range(3)):
        folder = place / 'classes' / part / name
        folder.mkdir(parents=True, exist_ok=True)
        low = 150 if name == 'light' else 0
        image = rng.randint(low, low + 100, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{level}.png'), image)
    options = ['--protocol', 'knn', '--size', '64', '--workers', '0', '--out', 'probe.json']
    run(place, 'probe.py', 'pretrain.py', str(best), 'classes', *options)
    probed = json.loads((place / 'probe.json').read_text())
    assert 'backbone: 234 of 234 tensors' in probed['coverage']
    assert probed['top1'] == 1  # even a hardly trained network tells dark from light
