import functools
import http.server
import os
import pickle
import threading

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from hsjp_mm.checkpoint import PretextInit, read_checkpoint
from hsjp_mm.checkpoint.coverage import CheckpointError
from tests.checkpoint.helpers import Toy, assert_equal, toy_runner

# ------------------------------------------------------------------ MMEngine's own checkpoints


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


@pytest.mark.parametrize('reader', [read_checkpoint, CheckpointLoader.load_checkpoint])
def test_nothing_is_unpickled_behind_the_users_back(reader, tmp_path):
    torch.save({'state_dict': {}, 'meta': Bomb(tmp_path / 'boom')}, tmp_path / 'bomb.pth')
    with pytest.raises((CheckpointError, pickle.UnpicklingError)):
        reader(str(tmp_path / 'bomb.pth'))
    assert not (tmp_path / 'boom').exists()


@pytest.mark.parametrize(
    'owner, name', [(HistoryBuffer, '__init__'), (np.ndarray, 'tofile'), (torch.Tensor, 'min')]
)
def test_getattr_reaches_only_the_four_statistics(owner, name, tmp_path):
    torch.save({'x': Attribute(HistoryBuffer, 'mean')}, tmp_path / 'mean.pth')
    assert read_checkpoint(tmp_path / 'mean.pth')['x'] is HistoryBuffer.mean
    torch.save({'x': Attribute(owner, name)}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=r'refused.*builtins\.getattr'):
        read_checkpoint(tmp_path / 'x.pth')


# ------------------------------------------------------------------ reading


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
def test_truncated_file_is_an_error_with_its_size(name, share, tmp_path):
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
def test_no_checkpoint_at_all_shows_how_it_starts(content, tmp_path):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='cannot be read') as error:
        read_checkpoint(tmp_path / 'x.pth')
    assert repr(content[:24]) in str(error.value)


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
        (tmp_path / 'www/good.pth').unlink()
        assert torch.equal(read_checkpoint(f'{host}/good.pth')['w'], torch.ones(3))
        with pytest.raises(CheckpointError, match='refused'):
            read_checkpoint(f'{host}/bad.pth')
        with pytest.raises(CheckpointError, match=f'{host}/no.pth cannot be downloaded'):
            read_checkpoint(f'{host}/no.pth')
        server.shutdown()
    assert not (tmp_path / 'boom').exists()
