import functools
import hashlib
import http.server
import os
import pickle
import tarfile
import threading
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from hsjp_mm.checkpoint import PretextInit, allow_mmengine_checkpoints, read_checkpoint
from hsjp_mm.checkpoint.coverage import CheckpointError
from tests.checkpoint.helpers import Toy, assert_equal, toy_runner

# ------------------------------------------------------------------ MMEngine's own checkpoints


@pytest.mark.slow
def test_resume_goes_on_as_if_never_stopped(trained, tmp_path):
    runner = toy_runner(tmp_path, load_from=str(trained / 'epoch_2.pth'), resume=True)
    runner.train()
    assert not (tmp_path / 'epoch_2.pth').exists()
    whole, resumed = (torch.load(d / 'epoch_3.pth') for d in (trained, tmp_path))
    for key in ('state_dict', 'ema_state_dict'):
        for name, value in whole[key].items():
            assert torch.equal(value, resumed[key][name]), name
    assert whole['param_schedulers'] == resumed['param_schedulers']
    history = resumed['message_hub']['log_scalars']['val/hsjp/precision']
    assert history.statistics('mean') == 0.25


def test_load_from_and_stock_pretrained(trained, tmp_path):
    path = trained / 'epoch_2.pth'
    saved = torch.load(path)['state_dict']
    runner = toy_runner(tmp_path, load_from=str(path), custom_hooks=None)
    runner.load_or_resume()
    assert_equal(runner.model, saved, '')

    model = Toy(init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone.'))
    model.init_weights()
    assert_equal(model.backbone, saved)


class Bomb:
    """Unpickling it makes a directory."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Attribute:
    """Unpickling it calls getattr(owner, name)."""

    def __init__(self, owner, name):
        self.arguments = owner, name

    def __reduce__(self):
        return getattr, self.arguments


@pytest.fixture(params=['new', 'old'])
def torch_version(request, monkeypatch):
    """torch as it is, and as it was before version 2.6, when it could not be told what to allow."""
    if request.param == 'old':
        for name in ('add_safe_globals', 'get_unsafe_globals_in_checkpoint'):
            monkeypatch.delattr(torch.serialization, name, raising=False)
        allow_mmengine_checkpoints()  # has nothing to do
        load = torch.load

        def old_load(*arguments, **settings):
            assert settings['weights_only'] is False
            return load(*arguments, **settings)

        monkeypatch.setattr(torch, 'load', old_load)
    return request.param


STOCK = pytest.param(
    CheckpointLoader.load_checkpoint,
    marks=pytest.mark.skipif(
        not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'),
        reason='before torch 2.6 MMEngine unpickles anything',
    ),
)


@pytest.mark.parametrize('reader', [read_checkpoint, STOCK])
def test_nothing_is_unpickled_behind_the_users_back(reader, tmp_path):
    torch.save({'state_dict': {}, 'meta': Bomb(tmp_path / 'boom')}, tmp_path / 'bomb.pth')
    with pytest.raises((CheckpointError, pickle.UnpicklingError)):
        reader(str(tmp_path / 'bomb.pth'))
    assert not (tmp_path / 'boom').exists()


@pytest.mark.parametrize(
    'owner, name', [(HistoryBuffer, '__init__'), (np.ndarray, 'tofile'), (torch.Tensor, 'min')]
)
def test_getattr_reaches_only_the_four_statistics(owner, name, tmp_path, torch_version):
    torch.save({'x': Attribute(HistoryBuffer, 'mean')}, tmp_path / 'mean.pth')
    assert read_checkpoint(tmp_path / 'mean.pth')['x'] is HistoryBuffer.mean
    torch.save({'x': Attribute(owner, name)}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'refused.*builtins\.getattr'):
        read_checkpoint(tmp_path / 'x.pth')


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize('zipped', [True, False])
def test_nothing_is_run_with_any_version_of_torch(zipped, tmp_path, torch_version):
    content = {'w': torch.ones(2), 'x': Bomb(tmp_path / 'boom')}
    torch.save(content, tmp_path / 'x.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r'refused.*posix\.mkdir.*--trust'):
        read_checkpoint(tmp_path / 'x.pth')
    assert not (tmp_path / 'boom').exists()


def test_checkpoints_of_mmengine_are_read_with_any_version_of_torch(trained, torch_version):
    read = read_checkpoint(trained / 'epoch_3.pth')
    history = read['message_hub']['log_scalars']['val/hsjp/precision']
    assert history.statistics('mean') == history.current() == 0.25
    sigmas = read['meta']['dataset_meta']['sigmas']
    np.testing.assert_array_equal(sigmas, np.array([0.1, 0.2], np.float32))
    assert read['meta']['dataset_meta']['skeleton_link_colors'].shape == (0,)
    whole = torch.load(trained / 'epoch_3.pth', weights_only=False)
    assert read['state_dict'].keys() == whole['state_dict'].keys()
    assert all(torch.equal(read['state_dict'][k], v) for k, v in whole['state_dict'].items())
    assert str(read['optimizer']) == str(whole['optimizer'])


@pytest.mark.parametrize('zipped', [True, False])
def test_all_that_a_state_dict_holds_is_read_with_any_version_of_torch(
    zipped, tmp_path, torch_version
):
    state = OrderedDict(
        half=torch.rand(3).half(), bfloat=torch.rand(3).bfloat16(), n=torch.tensor(7),
        parameter=torch.nn.Parameter(torch.rand(2, 2)), part=torch.rand(9)[2:5],
        complex=torch.rand(2, dtype=torch.complex64), mask=torch.tensor([True, False]),
        sparse=torch.eye(3).to_sparse(), transposed=torch.rand(2, 3).t(),
    )  # fmt: skip
    state._metadata = OrderedDict({'': dict(version=1)})
    kinds = dict(size=torch.Size([1, 2]), dtype=torch.float16, device=torch.device('cpu'))
    content = dict(state=state, kinds=kinds, text='é', more=[1, (2, {3}), None, b'x', 1j])
    torch.save(content, tmp_path / 'x.pth', _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(tmp_path / 'x.pth')
    assert read['state'].keys() == state.keys()
    assert read['state']._metadata == state._metadata
    for name, value in state.items():
        assert type(read['state'][name]) is type(value)
        assert read['state'][name].dtype == value.dtype
        assert torch.equal(read['state'][name].to_dense(), value.to_dense())
    for key in ('kinds', 'text', 'more'):
        assert read[key] == content[key]


def test_files_that_run_code_in_other_ways_are_refused(tmp_path, torch_version):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / 'script.pth')
    with tarfile.open(tmp_path / 'old.pth', 'w') as file:
        file.add(__file__, 'pickle')
    for name in ('script.pth', 'old.pth'):
        with pytest.raises(CheckpointError, match=f'{name}.*(refused|cannot be read)'):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize('zipped', [True, False])
def test_refused_file_names_what_it_holds_and_the_switch(zipped, tmp_path):
    path = tmp_path / 'x.pth'
    state = {'w': torch.ones(2), 'args': functools.partial(print)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r'refused.*functools\.partial.*trust=True.*--trust'):
        read_checkpoint(path)
    assert torch.equal(read_checkpoint(path, trust=True)['w'], torch.ones(2))


def test_reads_safetensors_and_files_of_old_torch(tmp_path):
    state = {'w': torch.arange(6.0).reshape(2, 3)}
    safetensors.torch.save_file(state, tmp_path / 'a.safetensors')
    torch.save(state, tmp_path / 'b.pth', _use_new_zipfile_serialization=False)
    for name in ('a.safetensors', 'b.pth'):
        assert torch.equal(read_checkpoint(tmp_path / name)['w'], state['w'])


@pytest.mark.parametrize('name', ['zip.pth', 'old.pth', 'x.safetensors'])
@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.99])
def test_truncated_file_is_an_error_with_its_size(name, share, tmp_path, torch_version):
    path = tmp_path / name
    state = {'w': torch.rand(40, 40)}
    if path.suffix == '.safetensors':
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name == 'zip.pth')
    content = path.read_bytes()[: int(share * path.stat().st_size)]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'{name} \({len(content):,} bytes\).*truncated'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    'content', [b'version https://git-lfs.github.com/spec/v1', b'<!DOCTYPE html>', b'\0' * 99]
)
def test_no_checkpoint_at_all_shows_how_it_starts(content, tmp_path, torch_version):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='cannot be read') as error:
        read_checkpoint(tmp_path / 'x.pth')
    assert repr(content[:24]) in str(error.value)


def tensors() -> dict:
    torch.manual_seed(0)
    return {'w': torch.rand(30, 30), 'half': torch.rand(9).half(), 'n': torch.tensor(3)}


def flip(path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize('trust', [False, True])
@pytest.mark.parametrize('record', ['data.pkl', 'data/0', 'data/1', 'version', 'byteorder'])
def test_a_record_that_its_checksum_does_not_fit_is_refused(record, trust, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(tensors(), path)
    with zipfile.ZipFile(path) as file:
        begin = file.read(f'x/{record}')
    position = path.read_bytes().index(begin)
    flip(path, position + len(begin) // 2)
    with pytest.raises(CheckpointError, match=rf'truncated or damaged: its record x/{record} is'):
        read_checkpoint(path, trust)


def test_one_flipped_bit_of_a_zip_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / 'x.pth'
    state = {'w': torch.rand(8, 8)}
    torch.save(state, path)
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 5):
        flip(path, position, position % 8)
        try:
            read = read_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:
            assert read.keys() == state.keys()
            assert torch.equal(read['w'], state['w'])
        path.write_bytes(content)
    assert refused > 0.3 * len(content) / 5  # the rest is padding


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'set_crc32_options'), reason='new in torch 2.6'
)
def test_a_file_that_torch_wrote_without_checksums_is_read(tmp_path):
    crc = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(tensors(), tmp_path / 'x.pth')
    finally:
        torch.serialization.set_crc32_options(crc)
    assert torch.equal(read_checkpoint(tmp_path / 'x.pth')['w'], tensors()['w'])


def write(kind: str, path) -> None:
    if kind == 'safetensors':
        safetensors.torch.save_file(tensors(), path)
    else:
        torch.save(tensors(), path, _use_new_zipfile_serialization=kind == 'zip')


@pytest.mark.parametrize('name', ['x-{}', 'hrnet_w32-coco-{}', 'x-{}_20220909', 'a-1a2b3c4d-{}'])
@pytest.mark.parametrize('kind, suffix', [('safetensors', '.safetensors'), ('old', '.pth')])
def test_the_hash_in_a_name_is_checked(kind, suffix, name, tmp_path):
    write(kind, tmp_path / 'x')
    digest = hashlib.sha256((tmp_path / 'x').read_bytes()).hexdigest()[:8]
    path = tmp_path / (name.format(digest) + suffix)
    (tmp_path / 'x').rename(path)
    assert torch.equal(read_checkpoint(path)['w'], tensors()['w'])
    flip(path, path.read_bytes().index(tensors()['w'].numpy().tobytes()) + 500)
    with pytest.raises(CheckpointError, match=rf'promises sha256 {digest}.*give it another name'):
        read_checkpoint(path)
    renamed = path.rename(tmp_path / f'renamed{suffix}')
    assert torch.equal(read_checkpoint(renamed)['half'], tensors()['half'])


@pytest.mark.parametrize(
    'name',
    [
        'epoch-20240131', 'x-20240131', 'x-1a2b3c4', 'x-1a2b3c4d5', 'x-1A2B3C4D', 'x_1a2b3c4d',
        '1a2b3c4d', 'x-1a2b3c4d.pth.old', 'x-1a2b3c4d-best', 'x-1a2b3c4g', 'x-1a2b3c4d.epoch',
    ],
)  # fmt: skip
@pytest.mark.parametrize('kind, suffix', [('safetensors', '.safetensors'), ('old', '.pth')])
def test_names_that_end_in_no_hash_are_not_checked(kind, suffix, name, tmp_path, log_file):
    write(kind, tmp_path / f'{name}{suffix}')
    assert torch.equal(read_checkpoint(tmp_path / f'{name}{suffix}')['w'], tensors()['w'])
    assert log_file.read_text() == ''


def test_a_sound_zip_with_a_commit_in_its_name_is_read_and_said(tmp_path, log_file):
    path = tmp_path / 'mine-1a2b3c4d.pth'
    torch.save(tensors(), path)
    assert torch.equal(read_checkpoint(path)['w'], tensors()['w'])
    assert 'promises sha256 1a2b3c4d…' in log_file.read_text()
    assert 'its own checksums hold' in log_file.read_text()
    # but of an export the name is the hash
    torch.save({'state_dict': tensors(), 'meta': {'source_sha256': '0'}}, path)
    with pytest.raises(CheckpointError, match='damaged or was changed'):
        read_checkpoint(path)


def test_missing_or_unset_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        read_checkpoint(tmp_path / 'nowhere.pth')
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path)
    for unset in ('', None):
        message = r'cfg-options model\.backbone\.init_cfg\.checkpoint=.*extract_backbone'
        with pytest.raises(ValueError, match=message):
            PretextInit(unset)
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


def test_web_address_is_fetched_once_and_read_as_safely(tmp_path, monkeypatch):
    (tmp_path / 'www').mkdir()
    torch.save({'w': torch.ones(3)}, tmp_path / 'www/good.pth')
    torch.save({'w': Bomb(tmp_path / 'boom')}, tmp_path / 'www/bad.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'www')
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f'http://127.0.0.1:{server.server_port}'
        assert torch.equal(read_checkpoint(f'{host}/good.pth')['w'], torch.ones(3))
        # the name is all hash digits: that of the address goes before it with a hyphen
        old = dict(_use_new_zipfile_serialization=False)
        torch.save({'w': torch.ones(2)}, tmp_path / 'www/1a2b3c4d.pth', **old)
        assert torch.equal(read_checkpoint(f'{host}/1a2b3c4d.pth?x=1')['w'], torch.ones(2))
        (tmp_path / 'www/good.pth').unlink()
        assert torch.equal(read_checkpoint(f'{host}/good.pth')['w'], torch.ones(3))
        with pytest.raises(CheckpointError, match='refused'):
            read_checkpoint(f'{host}/bad.pth')
        with pytest.raises(CheckpointError, match=f'{host}/no.pth cannot be downloaded'):
            read_checkpoint(f'{host}/no.pth')
        server.shutdown()
    assert not (tmp_path / 'boom').exists()
