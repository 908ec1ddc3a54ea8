import hashlib
import json
import os
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS

from hsjp_mm.checkpoint import export_backbone, read_checkpoint
from hsjp_mm.checkpoint.coverage import CheckpointError
from tests.checkpoint.helpers import RESNET50, Toy, assert_equal, init, save, topdown


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize(
    'file, epoch, when', [('best_hsjp_precision_epoch_1', 1, ''), ('epoch_3', 3, 'earlier_')]
)
def test_exported_backbone_of_a_run(suffix, file, epoch, when, trained, tmp_path):
    source = trained / f'{file}.pth'
    checkpoint = torch.load(source, weights_only=False)
    path, meta = export_backbone(source, tmp_path / f'new/toy{suffix}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path == tmp_path / f'new/toy-{digest}{suffix}'
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays

    if suffix == '.pth':
        content = torch.load(path, weights_only=False)
        tensors, stored = content['state_dict'], content['meta']
    else:
        tensors = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, 'pt') as file:
            stored = json.loads(file.metadata()['hsjp_mm'])
    backbone = {k: v for k, v in checkpoint['state_dict'].items() if k.startswith('backbone.')}
    assert tensors.keys() == backbone.keys()
    assert all(torch.equal(tensors[name], value) for name, value in backbone.items())
    assert stored == meta
    assert meta == dict(
        config=checkpoint['meta']['cfg'],
        grid=3,
        unshuffled=0,
        epoch=epoch,
        iter=2 * epoch,
        source=source.name,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        **{
            f'{when}validation': {
                'hsjp/precision': 0.25,
                'hsjp/other': 1.0,
                'jigclu/retrieval': 0.75,
                'jigclu/other': 1.0,
            }
        },
    )
    again, _ = export_backbone(source, tmp_path / f'new/toy{suffix}')
    assert again == path

    model = Toy(init_cfg=init(path))
    model.init_weights()
    assert_equal(model.backbone, backbone)


def test_stock_pretrained_reads_an_exported_pth(tmp_path):
    saved = save(RESNET50, tmp_path / 'x.pth')
    path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.pth')
    cfg = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    model = MODELS.build(topdown(cfg))
    model.init_weights()
    assert_equal(model.backbone, saved)


def test_export_is_float32_contiguous_and_folds(tmp_path):
    kernel = torch.randn(4, 6, 3, 3).half().transpose(2, 3)
    bias = torch.rand(4).half()
    state = {
        'backbone.stem.weight': kernel,
        'backbone.stem.bias': bias,
        'backbone.n': torch.tensor(3),
        'head.w': kernel,
    }
    torch.save({'state_dict': {**state, 'puzzle': torch.tensor([5, 1])}}, tmp_path / 'x.pth')
    for suffix in ('.pth', '.safetensors'):
        path, meta = export_backbone(tmp_path / 'x.pth', tmp_path / f'y{suffix}')
        read = read_checkpoint(path)
        read = read.get('state_dict', read)
        assert read.keys() == {'backbone.stem.weight', 'backbone.stem.bias', 'backbone.n'}
        assert torch.equal(read['backbone.stem.bias'], bias.float())
        assert read['backbone.n'] == 3
        summed = kernel[:, :3].float() + kernel[:, 3:].float()
        assert torch.equal(read['backbone.stem.weight'], summed)
        assert (meta['grid'], meta['unshuffled']) == (5, True)
        assert meta.keys() == {'grid', 'unshuffled', 'source', 'source_sha256'}


def test_config_text_is_carried_and_never_run(tmp_path):
    text = f"import os\nos.mkdir('{tmp_path}/boom')\n"
    state = {'backbone.w': torch.ones(1)}
    torch.save({'state_dict': state, 'meta': {'cfg': text}}, tmp_path / 'x.pth')
    _, meta = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors')
    assert meta['config'] == text
    assert not (tmp_path / 'boom').exists()


def test_export_refuses(tmp_path):
    torch.save({'backbone.w': torch.tensor([1.0, float('nan')])}, tmp_path / 'nan.pth')
    with pytest.raises(CheckpointError, match=r'nan\.pth: NaN or infinity in w'):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.pth')
    with pytest.raises(CheckpointError, match=r"no tensor.*'net\.'.*start with backbone"):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.pth', prefix='net')
    with pytest.raises(ValueError, match=r'\.safetensors or \.pth'):
        export_backbone(tmp_path / 'nan.pth', tmp_path / 'y.bin')
    assert [p.name for p in tmp_path.iterdir()] == ['nan.pth']


def test_export_takes_other_prefixes(tmp_path):
    state = {'student': {'module.backbone.w': torch.ones(2)}, 'teacher': {'w': torch.zeros(2)}}
    torch.save(state, tmp_path / 'x.pth')
    for prefix, value in (('student.module.backbone', 1), ('teacher.', 0)):
        path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors', prefix)
        assert read_checkpoint(path)['backbone.w'].tolist() == [value, value]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    torch.save({'backbone.w': torch.ones(2)}, tmp_path / 'x.pth')

    def fail(source, target):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        export_backbone(tmp_path / 'x.pth', tmp_path / 'new/y.pth')
    assert list((tmp_path / 'new').iterdir()) == []


OLD = Path(__file__).resolve().parents[1] / 'data'


@pytest.mark.parametrize(
    'name, unshuffled, best',
    [('hsjp_0.1', 1, 'hsjp/placed'), ('jigclu_0.1', 0, 'jigclu/retrieval')],
)
def test_a_checkpoint_of_version_0_1_is_exported_with_its_own_measures(
    name, unshuffled, best, tmp_path
):
    checkpoint = torch.load(OLD / f'{name}.pth', weights_only=False)
    path, meta = export_backbone(OLD / f'{name}.pth', tmp_path / 'x.safetensors')
    assert (meta['grid'], meta['unshuffled'], meta['epoch']) == (2, unshuffled, 1)
    scalars = checkpoint['message_hub']['log_scalars']
    assert meta['validation'][best] == scalars[f'val/{best}'].current()
    names = [name for name in scalars if name.count('/') == 2]
    assert [f'val/{name}' for name in meta['validation']] == names
    kernel = checkpoint['state_dict']['backbone.conv1.weight']
    assert kernel.shape[1] == (6 if unshuffled else 3)
    if unshuffled:
        kernel = kernel[:, :3] + kernel[:, 3:]
    assert torch.equal(read_checkpoint(path)['backbone.conv1.weight'], kernel)


def test_every_name_of_an_identity_is_recorded_and_unshuffled_is_heeded(tmp_path):
    kernel = torch.rand(4, 6, 3, 3)
    state = {'backbone.stem.weight': kernel, 'identity.grid': torch.tensor(4)}
    state |= {'identity.unshuffled': torch.tensor(1), 'identity.joints': torch.tensor(17)}
    state['identity.centers'] = torch.rand(3)  # no whole number
    torch.save({'state_dict': state}, tmp_path / 'x.pth')
    path, meta = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.pth')
    assert {k: v for k, v in meta.items() if 'source' not in k} == dict(
        grid=4, unshuffled=1, joints=17
    )
    assert all(type(meta[name]) is int for name in ('grid', 'unshuffled', 'joints'))
    read = read_checkpoint(path)['state_dict']
    assert torch.equal(read['backbone.stem.weight'], kernel[:, :3] + kernel[:, 3:])


@pytest.mark.parametrize(
    'content',
    [
        dict(meta=None, message_hub=None),
        dict(meta='0.1', message_hub=[1]),
        dict(meta=dict(epoch='3', iter=None, cfg=7), message_hub=dict(log_scalars=3)),
        dict(message_hub=dict(log_scalars={'val/x': HistoryBuffer(), 'val/y': 0.5, 3: None})),
        dict(message_hub=dict(log_scalars={'val/x': None}, runtime_info=None)),
    ],
)
def test_metadata_of_another_make_are_left_out(content, tmp_path):
    state = {'backbone.w': torch.ones(1), 'puzzle': torch.tensor(3), 'identity': torch.ones(2)}
    torch.save({'state_dict': state, **content}, tmp_path / 'x.pth')
    _, meta = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors')
    assert meta.keys() == {'source', 'source_sha256'}


def test_values_that_no_network_has_are_not_exported(tmp_path):
    quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    for name, tensor, message in (
        ('w', torch.tensor([1.0, -torch.inf]), 'infinity in w'),
        ('w', torch.tensor([1e300], dtype=torch.float64), 'infinity in w'),
        ('bn.running_var', torch.tensor([1.0, -0.1]), r'variance below zero in bn\.running_var'),
        ('w', torch.ones(2, dtype=torch.complex64), r'w \(torch\.complex64\)'),
        ('w', torch.ones(2).to(torch.float8_e4m3fn), r'w \(torch\.float8_e4m3fn\)'),
        ('w', torch.eye(2).to_sparse(), r'w \(torch\.sparse_coo\)'),
        ('w', quantised, r'w \(torch\.qint8\)'),
    ):
        if 'float8' in str(tensor.dtype) and torch.__version__ < '2.2':
            continue  # torch could not yet save them
        torch.save({f'backbone.{name}': tensor}, tmp_path / 'x.pth')
        with pytest.raises(CheckpointError, match=message):
            export_backbone(tmp_path / 'x.pth', tmp_path / 'y.pth')
    negative_zero = torch.tensor([-0.0, 1.0])
    torch.save({'backbone.bn.running_var': negative_zero.bfloat16()}, tmp_path / 'x.pth')
    path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / 'y.safetensors')
    assert torch.equal(read_checkpoint(path)['backbone.bn.running_var'], negative_zero)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_an_export_with_one_flipped_bit_is_refused_wherever_it_is(suffix, tmp_path):
    torch.manual_seed(0)
    torch.save({'backbone.layer.weight': torch.rand(16, 16)}, tmp_path / 'x.pth')
    path, _ = export_backbone(tmp_path / 'x.pth', tmp_path / f'y{suffix}')
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r'damaged|cannot be read|refused'):
            read_checkpoint(path)
    path.write_bytes(content)
    read_checkpoint(path)
