import subprocess
import sys

import pytest
import torch
import torch.multiprocessing
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from hsjp_mm.evaluation import PartIoU
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS, IGNORED
from tests.dense_bodies import PLAIN_PARTS, write_dense_bodies
from tests.helpers import ROOT
from tests.models.pretext.dense_models import (
    BATCHES,
    KINDS,
    batch,
    dense_dataset,
    run_rank,
    step,
    tiny_dense,
)

STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'


def test_head_follows_from_the_parts():
    model = tiny_dense('PartSegmentation', parts=DENSEPOSE_PARTS)
    assert model.head.final_layer.out_channels == 15
    assert model.identity.value('parts') == 14
    with pytest.raises(ValueError, match=r'has parts=14 and .*, the model parts=6'):
        tiny_dense('PartSegmentation').load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=r'head\.num_parts=3: give num_parts to the model alone'):
        tiny_dense(
            'PartSegmentation',
            head=dict(type='hsjp_mm.PartSegmentationHead', in_channels=16, num_parts=3),
        )


def test_weights_for_another_order_of_the_parts_are_refused():
    parts = ('head', 'body')
    state = tiny_dense('PartSegmentation', parts=parts).state_dict()
    tiny_dense('PartSegmentation', parts=parts).load_state_dict(state)
    with pytest.raises(
        ValueError,
        match='parts=2 and names=head, body, the model parts=2 and names=body, head',
    ):
        tiny_dense('PartSegmentation', parts=parts[::-1]).load_state_dict(state)
    del state['identity.names']  # as it was written before the names stood in it
    tiny_dense('PartSegmentation', parts=parts).load_state_dict(state)
    assert 'identity.names' not in state


@pytest.mark.parametrize('kind', ['PartSegmentation', 'DensePose'])
def test_the_head_of_a_stock_config_goes_with_another_type(kind, log_file):
    stock = get_config(STOCK).model.head
    head = {**stock, 'type': f'hsjp_mm.{kind}Head', 'in_channels': 16}
    head |= {'deconv_out_channels': None, 'deconv_kernel_sizes': None}
    tiny_dense(kind, head=head)
    for name in ('out_channels', 'decoder', 'loss'):
        assert f'head.{name} is dropped: {kind}Head has its own' in log_file.read_text()


def test_other_parts_than_the_datas_are_refused_before_training(dense_bodies):
    data = dense_dataset('PartSegmentation', dense_bodies)
    tiny_dense('PartSegmentation').prepare(data)
    with pytest.raises(ValueError, match=r'the data labels the parts torso.*the model predicts'):
        tiny_dense('PartSegmentation', parts=DENSEPOSE_PARTS).prepare(data)


def test_samples_without_labels_are_refused(dense_bodies):
    model = tiny_dense('PartSegmentation')
    inputs, samples = batch(model, 'PartSegmentation', dense_bodies, 0, 2)
    del samples[1].gt_fields
    with pytest.raises(ValueError, match='a data sample has no part labels'):
        model.loss(inputs, samples)


def test_predictions_are_measured_at_the_cells(dense_bodies):
    model = tiny_dense('PartSegmentation').eval()
    inputs, samples = batch(model, 'PartSegmentation', dense_bodies, 0, 3)
    with torch.no_grad():
        logits = model.head(model.extract_feat(inputs))
        samples = model.predict(inputs, samples)
    metric = PartIoU()
    metric.dataset_meta = {'parts': PLAIN_PARTS}
    metric.process(None, [sample.to_dict() for sample in samples])
    right = total = 0
    for k, sample in enumerate(samples):
        truth = sample.gt_fields.part_labels[0]
        for i in range(8):
            for j in range(6):
                if truth[8 * i, 8 * j] != IGNORED:
                    total += 1
                    right += int(logits[k, :, i, j].argmax()) == int(truth[8 * i, 8 * j])
    assert metric.evaluate(3)['parts/accuracy'] == pytest.approx(right / total)


@pytest.fixture(scope='module')
def ranks(tmp_path_factory, dense_bodies) -> list[dict]:
    """What each of two processes computed."""
    folder = tmp_path_factory.mktemp('ranks')
    torch.multiprocessing.start_processes(
        run_rank, (str(dense_bodies), str(folder)), nprocs=2, start_method='forkserver'
    )
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('name', BATCHES)
@pytest.mark.parametrize('kind', KINDS)
def test_two_processes_compute_what_one_does(ranks, dense_bodies, kind, name):
    """Though each has another number of labelled cells, of background, and of points."""
    model = tiny_dense(kind).train()
    expected = step(model, *batch(model, kind, dense_bodies, 0, 4))
    for found in ranks:
        for key, loss in expected['losses'].items():
            assert loss > 0.01
            torch.testing.assert_close(found[kind, name]['losses'][key], loss, rtol=1e-5, atol=1e-6)
        for key, gradient in expected['gradients'].items():
            torch.testing.assert_close(
                found[kind, name]['gradients'][key], gradient, rtol=1e-3, atol=2e-6, msg=key
            )


def config(folder, work_dir) -> Config:
    """The config of full size on painted bodies: a tiny HRNet, crops of 64×96, 100 iterations."""
    configs = ROOT / 'configs'
    cfg = Config.fromfile(
        configs / 'dense_labels/partseg_hrnet-w32_scratch-4xb32-140e_coco-256x192.py'
    )
    cfg.model.backbone = Config.fromfile(configs / '_base_/hrnet-tiny.py').hrnet_tiny
    cfg.model.head.in_channels = 16
    cfg.model.parts = PLAIN_PARTS
    for loader, images in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        loader.update(batch_size=8, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(folder / images), ann_file='parts.json', data_prefix=dict(img='images')
        )
        for transform in loader.dataset.pipeline:
            if 'input_size' in transform:
                transform.input_size = (64, 96)
            if 'rotate_factor' in transform:
                transform.rotate_factor = 20
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=100, val_interval=50)
    cfg.param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
    cfg.optim_wrapper.optimizer.lr = 4e-3
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=50)
    cfg.default_hooks.logger.interval = 10
    cfg.log_processor = dict(by_epoch=False)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.randomness = dict(seed=0)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.name
    return cfg


@pytest.mark.slow
def test_parts_are_learnt_and_the_backbone_starts_a_stock_model(tmp_path):
    write_dense_bodies(tmp_path / 'train', number=32, seed=1)
    write_dense_bodies(tmp_path / 'val', number=8, seed=2)
    runner = Runner.from_cfg(config(tmp_path, tmp_path / 'work'))
    runner.train()
    scalars = runner.message_hub.log_scalars
    iou = scalars['val/parts/iou'].data[0]
    chance = scalars['val/parts/iou_chance'].current()
    assert len(iou) == 2
    assert chance < 0.05
    assert iou[-1] > 0.5
    assert len(list((tmp_path / 'work').rglob('puzzle_*.png'))) == 8  # 4 persons, 2 validations

    [best] = (tmp_path / 'work').glob('best_parts_iou_*.pth')
    done = subprocess.run(
        [
            sys.executable, '-m', 'hsjp_mm', 'extract', str(best),
            '--out', str(tmp_path / 'backbone.safetensors'),
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'parts/iou' in done.stdout and 'parts: 6' in done.stdout
    [exported] = tmp_path.glob('backbone-*.safetensors')
    stock = Config.fromfile(
        ROOT / 'configs/demo/td-hm_hrnet-tiny_hsjp-pre-1xb16-400i_toy-128x96.py'
    )
    stock.model.backbone.init_cfg.checkpoint = str(exported)
    model = MODELS.build(stock.model)
    model.init_weights()
    trained = torch.load(best, weights_only=False)['state_dict']
    state = model.backbone.state_dict()
    assert all(torch.equal(v, trained[f'backbone.{k}']) for k, v in state.items())
