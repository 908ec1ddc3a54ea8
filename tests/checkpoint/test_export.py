import hashlib
import json
import os

import pytest
import safetensors
import safetensors.torch
import torch
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
    checkpoint = torch.load(source, weights_only=True)
    path, meta = export_backbone(source, tmp_path / f'new/toy{suffix}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path == tmp_path / f'new/toy-{digest}{suffix}'
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays

    if suffix == '.pth':
        content = torch.load(path, weights_only=True)
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
        unshuffled=False,
        epoch=epoch,
        iter=2 * epoch,
        source=source.name,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        **{f'{when}precision': 0.25, f'{when}retrieval': 0.75},
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
        assert 'precision' not in meta
        assert 'config' not in meta


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
