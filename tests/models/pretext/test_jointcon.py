import copy
import json
import multiprocessing
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import nn

from hsjp_mm.models import JointCon
from hsjp_mm.ops import distributed
from tests.helpers import ROOT, SHARED, leave_group

DEFINITIONS = ('image', 'joint', 'image_and_joint')
CONFIG = ROOT / 'configs/jointcon/jointcon_res50_4xb64-140e_coco-224x224.py'
SIZE = (48, 32)
JOINTS = 4


def test_one_view_has_no_pair():
    view = dict(side=(0.75, 1.25))
    with pytest.raises(ValueError, match=r"positives='image_and_joint' needs two views"):
        tiny(positives='image_and_joint', views=[view])
    tiny(positives='joint', views=[view])


def tiny(**options) -> JointCon:
    """JointCon on half of a narrow ResNet-18, with seeded weights and all batch norms frozen."""
    torch.manual_seed(0)
    parts = dict(
        backbone=dict(
            type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
            out_indices=(0, 1), stem_channels=8, base_channels=8, norm_eval=True,
        ),
        head=dict(
            type='hsjp_mm.JointConHead', in_channels=16, hidden_channels=12, out_channels=6
        ),
    )  # fmt: skip
    model = JointCon(**{**parts, **options}, input_size=SIZE).train()
    model.head.projector.eval()
    return model


def batch(number: int = 3, dtype: torch.dtype = torch.float64) -> tuple[tuple, list]:
    """Two views of some images, and samples with the joints that each shows."""
    generator = torch.Generator().manual_seed(5)
    width, height = SIZE
    views = [torch.randn(number, 3, height, width, generator=generator) for _ in range(2)]
    samples = []
    for image in range(number):
        points = torch.rand(1, 2, JOINTS, 2, generator=generator) * torch.tensor(SIZE)
        seen = torch.rand(1, 2, JOINTS, generator=generator) < 0.75
        joints = InstanceData(view_keypoints=points, view_keypoints_visible=seen.float())
        samples.append(PoseDataSample(metainfo={'id': image}, gt_instances=joints))
    return tuple(view.to(dtype) for view in views), samples


def step(model, inputs: tuple, samples: list) -> dict:
    """What one training step computes; ``model`` may be wrapped."""
    plain = getattr(model, 'module', model)
    loss, logged = plain.parse_losses(model(inputs, samples, mode='loss'))
    loss.backward()
    gradients = {name: weight.grad for name, weight in plain.named_parameters()}
    return {'logged': dict(logged), 'gradients': gradients}


# ----------------------------------------------------------------------------------------- loss


@pytest.mark.parametrize('in_index', [-1, 0])
@pytest.mark.parametrize('positives', DEFINITIONS)
def test_loss_from_pixels_to_the_number(positives, in_index):
    channels = 16 if in_index else 8
    head = dict(
        type='hsjp_mm.JointConHead', in_channels=channels, hidden_channels=12, out_channels=6
    )
    model = tiny(positives=positives, in_index=in_index, head=head).double()
    inputs, samples = batch()
    found = model(inputs, samples, mode='loss')['loss_contrastive']
    stride = 8 if in_index else 4
    rows, labels = [], []
    for view in range(2):
        maps = model.backbone(inputs[view])[in_index]
        assert maps.shape[-2:] == (SIZE[1] // stride, SIZE[0] // stride)
        for image, sample in enumerate(samples):
            for joint in range(JOINTS):
                if sample.gt_instances.view_keypoints_visible[0, view, joint]:
                    x, y = (sample.gt_instances.view_keypoints[0, view, joint] / stride).tolist()
                    x, y = min(x, maps.shape[-1] - 1), min(y, maps.shape[-2] - 1)
                    left, top = int(x), int(y)
                    vector = sum(
                        (1 - abs(y - i)) * (1 - abs(x - j)) * maps[image, :, i, j]
                        for i in (top, top + 1)
                        for j in (left, left + 1)
                        if abs(y - i) < 1 and abs(x - j) < 1
                    )
                    rows.append(vector)
                    labels.append((image, joint))
    unit = nn.functional.normalize(model.head.project(torch.stack(rows)), dim=1)
    terms = []
    for i, (image, joint) in enumerate(labels):
        mates = [
            j
            for j, (other_image, other_joint) in enumerate(labels)
            if j != i
            and (positives == 'joint' or other_image == image)
            and (positives == 'image' or other_joint == joint)
        ]
        if mates:
            whole = sum((unit[i] @ unit[k] / 0.1).exp() for k in range(len(rows)) if k != i)
            terms.append(-sum((unit[i] @ unit[j] / 0.1 - whole.log()) for j in mates) / len(mates))
    torch.testing.assert_close(found, sum(terms) / len(terms), rtol=0, atol=1e-6)


@pytest.mark.parametrize('positives', DEFINITIONS)
def test_every_parameter_gets_a_gradient(positives):
    model = tiny(positives=positives)
    found = step(model, *batch(dtype=torch.float32))
    assert all(value.abs().sum() > 0 for value in found['gradients'].values())


def test_autocast_gives_nearly_the_same_loss_in_full_precision():
    model = tiny()
    inputs, samples = batch(dtype=torch.float32)
    exact = model(inputs, samples, mode='loss')['loss_contrastive']
    with torch.autocast('cpu', torch.bfloat16):
        mixed = model(inputs, samples, mode='loss')['loss_contrastive']
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0.02, atol=0)


# -------------------------------------------------------------------------------- two processes

# images by rank; the joints of each process are of another number
PARTS = ((2, 1), (2, 2))


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/group', timedelta(seconds=60), 2, rank
    )
    found: dict = {}
    for parts in PARTS:
        inputs, samples = batch(sum(parts))
        own = slice(0, parts[0]) if rank == 0 else slice(parts[0], None)
        for positives in DEFINITIONS:
            model = tiny(positives=positives).double()
            model.min_batch = 1
            wrapped = MMDistributedDataParallel(
                model, device_ids=None, find_unused_parameters=False
            )
            found[parts, positives] = step(
                wrapped, tuple(view[own] for view in inputs), samples[own]
            )
    model = tiny().double()
    inputs, samples = batch(4)
    for sample in samples[2:]:
        sample.gt_instances.view_keypoints_visible[:] = 0
    own = slice(2 * rank, 2 * rank + 2)
    try:
        model(tuple(view[own] for view in inputs), samples[own], mode='loss')
    except ValueError as error:
        found['refused'] = str(error)
    torch.save(found, f'{folder}/{rank}')
    leave_group()


@pytest.fixture(scope='module')
def pair(tmp_path_factory) -> list[dict]:
    """What two processes found."""
    folder = tmp_path_factory.mktemp('pair')
    multiprocessing.set_forkserver_preload(['hsjp_mm.models', 'torch._dynamo'])
    torch.multiprocessing.start_processes(
        run_rank, (str(folder),), nprocs=2, start_method='forkserver'
    )
    return [torch.load(Path(folder, str(rank))) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize('positives', DEFINITIONS)
@pytest.mark.parametrize('parts', PARTS)
def test_two_processes_compute_what_one_does(pair, parts, positives):
    """The loss, its floor, all measures and the gradient of every parameter."""
    inputs, samples = batch(sum(parts))
    shown = [int(s.gt_instances.view_keypoints_visible.sum()) for s in samples]
    assert sum(shown[: parts[0]]) != sum(shown[parts[0] :])
    expected = step(tiny(positives=positives).double(), inputs, samples)
    close = dict(rtol=0, atol=1e-9)
    for found in pair:
        found = found[parts, positives]
        assert found['logged'].keys() == expected['logged'].keys()
        for name, value in expected['logged'].items():
            torch.testing.assert_close(found['logged'][name], value, **close)
        for name, value in expected['gradients'].items():
            torch.testing.assert_close(found['gradients'][name], value, **close)


@pytest.mark.slow
def test_a_process_without_joints_stops_all_of_them(pair):
    assert len({found['refused'] for found in pair}) == 1
    assert ', 0] labelled joints by process' in pair[0]['refused']


def test_images_are_numbered_over_all_processes(monkeypatch):
    model = tiny()
    seen = []
    monkeypatch.setattr(model.head, 'loss', lambda vectors, labels: seen.append(labels) or {})
    monkeypatch.setattr(distributed, 'sizes_of', lambda number, device: [4, number])
    monkeypatch.setattr(distributed, 'get_rank', lambda: 1)
    model.loss(*batch(dtype=torch.float32))
    assert seen[0][:, 0].unique().tolist() == [4, 5, 6]


# ----------------------------------------------------------------------------------------- data


class Pixels(nn.Module):
    """A backbone whose map is the image."""

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (inputs,)


@pytest.fixture(scope='module')
def persons(tmp_path_factory) -> Path:
    """Six COCO persons in images whose joints are disks, each of the color of its joint.

    Some joints are unlabelled and some occluded.
    """
    folder = tmp_path_factory.mktemp('persons')
    random = np.random.RandomState(0)
    images, annotations = [], []
    for number in range(1, 7):
        picture = np.full((160, 160, 3), 90, np.uint8)
        joints = np.zeros((17, 3))
        grid = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2)[:17]
        joints[:, :2] = 25 + 28 * grid + random.randint(-3, 4, (17, 2))
        joints[:, 2] = random.choice([0, 1, 2], 17, p=[0.2, 0.3, 0.5])
        for joint, (x, y, _) in enumerate(joints):
            cv2.circle(picture, (int(x), int(y)), 9, color_of(joint), -1)
        cv2.imwrite(str(folder / f'{number}.png'), picture)
        joints[joints[:, 2] == 0] = 0
        images.append(dict(id=number, file_name=f'{number}.png', width=160, height=160))
        annotations.append(
            dict(
                id=10 * number, image_id=number, category_id=1, iscrowd=0, area=10000,
                bbox=[10, 10, 140, 140], keypoints=joints.ravel().tolist(),
                num_keypoints=int((joints[:, 2] > 0).sum()),
            )
        )  # fmt: skip
    categories = [dict(id=1, name='person')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'persons.json').write_text(json.dumps(content))
    return folder


def color_of(joint: int) -> tuple[int, int, int]:
    """BGR; right joints, which are even in COCO, are red."""
    return 10 * joint + 20, 0, 250 if joint % 2 == 0 and joint else 0


def tiny_config(folder: Path, **options) -> Config:
    """The family's default on the persons above, with a small network; two epochs."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.backbone.update(depth=18, stem_channels=8, base_channels=8)
    cfg.model.head.update(in_channels=64, hidden_channels=32, out_channels=16)
    cfg.model.input_size = (64, 64)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(folder), ann_file='persons.json', data_prefix=dict(img='')
        )
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.merge_from_dict(options)
    return cfg


def built(folder: Path, split: str = 'train', **options) -> tuple[JointCon, object]:
    cfg = tiny_config(folder, **options)
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return MODELS.build(cfg.model), dataset


@pytest.mark.parametrize('flip_prob', [0, 1])
def test_vectors_are_sampled_at_the_joints_also_where_left_and_right_have_changed(
    persons, flip_prob
):
    """What is red is right; in a flipped view the person's left is where the right was."""
    model, dataset = built(persons)
    model.views = [dict(num=2, size=(128, 128), side=(0.9, 1.1), rotate=20.0, flip_prob=flip_prob)]
    model.prepare(dataset)
    model.backbone = Pixels()
    data = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(6)]))
    partner = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    number = 0
    for view in range(2):
        vectors, seen = model.sample_joints(data['inputs'][view], data['data_samples'], view)
        pixels = vectors * model.data_preprocessor.std.flatten()
        colors = pixels + model.data_preprocessor.mean.flatten()  # RGB
        for image, joint in seen.nonzero().tolist():
            drawn = partner[joint] if flip_prob else joint
            expected = list(color_of(drawn))[::-1]
            assert colors[image, joint].tolist() == pytest.approx(expected, abs=2)
            number += 1
    labelled = sum((dataset[i]['data_samples'].gt_instances.keypoints_visible > 0).sum()
                   for i in range(6))  # fmt: skip
    assert labelled < number <= 2 * labelled


@pytest.mark.parametrize('split', ['train', 'val'])
def test_occluded_joints_count_or_not_and_unlabelled_ones_never(persons, split):
    flags = {
        one['id']: np.reshape(one['keypoints'], (17, 3))[:, 2]
        for one in json.loads((persons / 'persons.json').read_text())['annotations']
    }
    for occluded, least in ((True, 1), (False, 2)):
        model, dataset = built(persons, split, **{'model.occluded': occluded})
        model.views = [dict(num=2, size=(64, 64), side=(1.0, 1.0))]
        model.prepare(dataset)
        for i in range(6):
            sample = dataset[i]['data_samples']
            expected = (flags[sample.id] >= least).tolist()
            for view in range(2):
                visible = sample.gt_instances.view_keypoints_visible[0, view]
                assert (visible > 0).tolist() == expected


def test_occluded_joints_cannot_be_dropped_without_the_transform(persons):
    model, dataset = built(persons, **{'model.occluded': False})
    dataset.pipeline.transforms = [
        step for step in dataset.pipeline.transforms if type(step).__name__ != 'DropOccluded'
    ]
    with pytest.raises(ValueError, match=r'occluded=False needs a hsjp_mm\.DropOccluded'):
        model.prepare(dataset)


def test_a_data_set_without_keypoints_is_refused(persons):
    model, dataset = built(
        persons, **{'train_dataloader.dataset.type': 'hsjp_mm.PersonCropDataset'}
    )
    model.prepare(dataset)
    data = model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), True)
    with pytest.raises(ValueError, match=r'no keypoints.*CocoDataset.*not PersonCropDataset'):
        model.loss(**data)


REAL = {
    'CocoDataset': (
        dict(
            type='CocoDataset',
            data_root=str(SHARED / 'coco_mini'),
            ann_file='annotations/person_keypoints_val2017.json',
            data_prefix=dict(img='val2017/'),
        ),
        17,
    ),
    'MpiiDataset': (
        dict(
            type='MpiiDataset',
            data_root=str(SHARED / 'mpii'),
            ann_file='test_mpii.json',
            data_prefix=dict(img='images/'),
        ),
        16,
    ),
    'LSPDataset': (
        dict(
            type='hsjp_mm.LSPDataset',
            data_root=str(SHARED / 'lsp'),
            ann_file='joints.mat',
            data_prefix=dict(img='images/'),
        ),
        14,
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason='no real data beside the checkout')
@pytest.mark.parametrize('name', REAL)
def test_takes_the_joints_of_stock_data_sets(persons, name):
    given, joints = REAL[name]
    cfg = tiny_config(persons)
    dataset = DATASETS.build(dict(given, pipeline=cfg.train_pipeline))
    model = MODELS.build(cfg.model)
    model.prepare(dataset)
    data = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(4)]), True)
    seen = model.sample_joints(data['inputs'][0], data['data_samples'], 0)[1]
    assert seen.shape == (4, joints) and seen.any()
    assert model.loss(**data)['loss_contrastive'].isfinite()


# ------------------------------------------------------------------------------------ the model


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(positives='instance'),
            "positives='instance' must be one of image, joint, image_and_",
        ),
        (
            dict(head=dict(type='hsjp_mm.JointConHead', in_channels=16, positives='joint')),
            "head.positives='joint': give positives to the model alone",
        ),
        (dict(head=dict(type='hsjp_mm.SimCLRHead', in_channels=16)), 'must be .hsjp_mm.JointConH'),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_a_map_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match='in_index=2, but the network gives 2 maps'):
        tiny(in_index=2)(*batch(dtype=torch.float32), mode='loss')


def test_weights_of_other_positives_are_refused():
    with pytest.raises(ValueError, match='same_image=True and same_joint=True, the model same_ima'):
        tiny(positives='joint').load_state_dict(tiny(positives='image_and_joint').state_dict())


def test_predictions_hold_the_embeddings_of_all_joints():
    model = tiny().eval()
    inputs, samples = batch(dtype=torch.float32)
    expected, seen = model.embed_joints(inputs, samples)
    assert expected.shape == (3, 2, JOINTS, 6)
    torch.testing.assert_close(expected.norm(dim=-1), torch.ones(3, 2, JOINTS))
    for i, sample in enumerate(model(inputs, samples, mode='predict')):
        assert torch.equal(sample.pred_instances.joint_embeddings, expected[i : i + 1])
        assert torch.equal(sample.pred_instances.joints_seen, seen[i : i + 1])


@pytest.mark.slow
def test_a_run_measures_draws_and_keeps_the_best(persons, tmp_path):
    cfg = tiny_config(persons)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.visualizer.name = tmp_path.name
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != 'SyncBuffersHook']
    cfg.sync_bn = None
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    scalars = runner.message_hub.log_scalars
    for measure in JointCon.measures:
        assert f'val/{measure.name}' in scalars
        assert f'train/{measure.in_training}' in scalars
    chance = scalars['val/joints/joint_retrieval_chance'].current()
    assert 0.04 < chance < 0.09  # near 1 of 17
    assert 0 <= scalars['train/floor'].current() < scalars['train/loss'].current()
    assert list(tmp_path.glob('best_joints_joint_retrieval_epoch_*.pth'))
    assert list(tmp_path.rglob('puzzle_0_*.png'))


@pytest.mark.slow
def test_it_learns_which_joint_is_which(persons):
    """Joints that are disks of their own color are told from one another in a few steps."""
    model, dataset = built(persons)
    model.views = [dict(num=2, size=(64, 64), side=(0.9, 1.1), rotate=20.0)]
    model.prepare(dataset)
    np.random.seed(0)  # noqa: NPY002 (MakeViews draws from it)
    torch.manual_seed(0)
    model.init_weights()
    model.backbone = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 2, 1), nn.ReLU(), Last()
    )
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(60):
        data = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(6)]), True)
        loss, logged = model.parse_losses(model.loss(**data))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({name: value.item() for name, value in logged.items()})
    first, last = history[0], history[-1]
    assert last['joint_retrieval'] > 0.9 > 5 * last['joint_retrieval_chance']
    assert last['loss'] - last['floor'] < 0.3 * (first['loss'] - first['floor'])


class Last(nn.Module):
    """Hands the map on as the backbones do."""

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor]:
        return (maps,)
