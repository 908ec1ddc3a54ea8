"""Predicted bodies of several fine-tunings: of real but tiny networks on a few rendered bodies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner

from hsjp_mm.comparison import meshes_of_runs
from hsjp_mm.comparison.meshes_of_runs import bodies_of, predict_bodies
from hsjp_mm.comparison.report import report_on
from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.datasets.toy_bodies import render
from hsjp_mm.visualization.mesh_comparison import BODY_TILE, GAP, LINE, PART_TILE
from tests.helpers import ROOT
from tests.test_mesh_training import make_config

NARROW = {
    'model.backbone.stem_channels': 8,
    'model.backbone.base_channels': 8,
    'model.head.in_channels': 64,
}
SMALL = {
    'pare': {'model.head.deconv_out_channels': (8, 8, 8)},
    'hmr': {'model.head.hidden_channels': 64},
    'i2l-meshnet': {'model.head.deconv_out_channels': (8, 8, 8)},
}


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('bodies') / 'toy'
    render(folder, num_train=1, num_val=3)
    return folder


def make_run(folder: Path, toy: Path, name: str, head: str = 'pare', seed: int = 0) -> FineTuning:
    """A work folder as MMEngine leaves it, with random weights."""
    config = Config.fromfile(ROOT / f'configs/demo/{head}_res18_1xb16-2000i_toy-96x96.py')
    config.merge_from_dict({**NARROW, **SMALL[head], 'val_dataloader.dataset.data_root': f'{toy}/'})
    own = folder / name / str(seed)
    (own / '1/vis_data').mkdir(parents=True)
    config.dump(own / '1/vis_data/config.py')
    init_default_scope('mmpose')
    torch.manual_seed(len(name) + seed)
    torch.save({'state_dict': MODELS.build(config.model).state_dict()}, own / 'iter_9.pth')
    (own / 'last_checkpoint').write_text('/moved/since/iter_9.pth')
    return FineTuning(
        name, 1.0, seed, str(own), 'mesh/PA-MPJPE', 'less', [(90, 80.0)], 9, 1.0, '', '', {}
    )


@pytest.mark.slow
def test_the_hardest_persons_are_shown_of_each_initialisation(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(meshes_of_runs, 'SHOWN', 2)
    runs = [
        make_run(tmp_path, toy, 'scratch', seed=1),
        make_run(tmp_path, toy, 'scratch'),
        replace(make_run(tmp_path, toy, 'pose2d'), fraction=0.1),
    ]
    seen: dict[str, list[float]] = {}
    look = meshes_of_runs._predict

    def predict(run):
        model, found = look(run)
        seen[f'{run.init} {run.seed}'] = [one.aligned for one in found]
        return model, found

    monkeypatch.setattr(meshes_of_runs, '_predict', predict)
    assert predict_bodies(runs)
    found = bodies_of(runs)
    assert not found.undrawn
    assert list(seen) == ['scratch 0', 'pose2d 0']  # the lowest seed
    means = sorted(np.mean(list(seen.values()), axis=0), reverse=True)
    assert [caption.rpartition('PA-MPJPE ')[2] for caption, _ in found.bodies] == [
        f'{mean:.0f} mm, the mean of the runs' for mean in means[:2]
    ]
    assert f'The 2 of {len(means)} persons' in found.note
    assert f'their median is {np.median(means):.0f} mm' in found.note
    assert 'scratch, 100 % of the labels, seed 0; pose2d, 10 % of' in found.note
    assert found.bodies[0][1].shape[1] == GAP + 4 * (
        BODY_TILE + GAP
    )  # image, labelled, two initialisations
    assert [board.shape[0] for _, board in found.attention] == 2 * [LINE + 2 * (PART_TILE + GAP)]
    again = bodies_of(runs)
    np.testing.assert_array_equal(again.bodies[0][1], found.bodies[0][1])


@pytest.mark.parametrize('head', ['hmr', 'i2l-meshnet'])
def test_what_has_no_part_attention_has_bodies_alone(head, toy, tmp_path):
    found = bodies_of([make_run(tmp_path, toy, 'scratch', head)])
    assert found.bodies and not found.attention and not found.undrawn


def test_errors_are_those_of_the_evaluation(toy, tmp_path):
    """Over the whole validation set their mean is what the metric reports."""
    run = make_run(tmp_path, toy, 'scratch')
    model, found = meshes_of_runs._predict(run)
    config = Config.fromfile(Path(run.folder, '1/vis_data/config.py'))
    metric = meshes_of_runs._metric(config)
    dataset = DATASETS.build(config.val_dataloader.dataset)
    assert len(dataset) == len(found) < meshes_of_runs.DRAWN
    metric.dataset_meta = dataset.metainfo
    samples = model.test_step(pseudo_collate([dataset[i] for i in range(len(dataset))]))
    metric.process(None, [sample.to_dict() for sample in samples])
    scores = metric.compute_metrics(metric.results)
    assert np.mean([one.aligned for one in found]) == pytest.approx(scores['PA-MPJPE'], rel=1e-4)
    assert np.mean([one.error for one in found]) == pytest.approx(scores['MPJPE'], rel=1e-4)


@pytest.mark.slow
def test_what_cannot_be_drawn_is_told(toy, tmp_path):
    runs = [make_run(tmp_path, toy, name) for name in ('fine', 'gone', 'other', 'blind')]
    Path(runs[1].folder, 'iter_9.pth').unlink()
    torch.save({'state_dict': {'backbone.x': torch.zeros(1)}}, Path(runs[2].folder, 'iter_9.pth'))
    path = Path(runs[3].folder, '1/vis_data/config.py')
    config = Config.fromfile(path)
    config.val_evaluator = dict(type='hsjp_mm.MupotsPCK')
    config.dump(path)
    found = bodies_of(runs)
    assert [reason.partition(' are drawn: ')[0] for reason in found.undrawn] == [
        'No bodies of gone', 'No bodies of other', 'No bodies of blind'
    ]  # fmt: skip
    assert 'no checkpoint left' in found.undrawn[0]
    assert 'no checkpoint of this model' in found.undrawn[1]
    assert 'has no hsjp_mm.MeshError' in found.undrawn[2]
    assert found.bodies[0][1].shape[1] == GAP + 3 * (BODY_TILE + GAP)
    only = bodies_of(runs[1:2])
    assert not only.bodies and len(only.undrawn) == 1


@pytest.mark.slow
def test_trained_runs_are_in_the_report(toy, tmp_path):
    """From what MMEngine really leaves to the page."""
    folders = {}
    for name in ('scratch', 'other'):
        config = make_config(toy, tmp_path, 'pare', iterations=2)
        config.val_dataloader.dataset.update(data_prefix=dict(img='val', parts='parts/val'))
        config.train_dataloader.dataset.update(data_prefix=dict(img='train', parts='parts/train'))
        config.work_dir = str(tmp_path / name)
        # MMEngine gives back the logger and the visualizer of the same name
        config.experiment_name = config.visualizer.name = f'{tmp_path.name}-{name}'
        Runner.from_cfg(config).train()
        folders[config.work_dir] = name
    path = tmp_path / 'report.html'
    said, failures = report_on(path, 'PARE', folders, folders, 'mesh/PA-MPJPE')
    assert not failures and said[-1] == f'report: {path}'
    assert said[0].startswith('PA-MPJPE (mm, less is better), scratch, 100 % of the labels: ')
    assert len(path.with_suffix('.csv').read_text().splitlines()) > len(folders)
    text = path.read_text()
    people = len(np.load(toy / 'mesh/val.npz')['id'])
    shown = min(people, meshes_of_runs.SHOWN)
    assert text.count('data:image/jpeg') == 2 * shown  # bodies, and where the parts look
    assert 'No poses' not in text and 'No bodies' not in text


def test_what_is_no_mesh_regressor_is_none(tmp_path):
    run = FineTuning(
        'a', 1.0, 0, str(tmp_path), 'coco/AP', 'greater', [(9, 1.0)], 1, 1.0, '', '', {}
    )
    assert not predict_bodies([run])
    (tmp_path / '1/vis_data').mkdir(parents=True)
    (tmp_path / '1/vis_data/config.py').write_text("model = dict(type='TopdownPoseEstimator')")
    assert not predict_bodies([run])
    (tmp_path / '1/vis_data/config.py').write_text("model = dict(type='hsjp_mm.MeshEstimator')")
    assert predict_bodies([run])
