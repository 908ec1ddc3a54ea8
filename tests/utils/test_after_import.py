import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hsjp_mm.utils.after_import import after_import


@pytest.fixture
def package(tmp_path, monkeypatch) -> str:
    """The name of a package that can be imported once."""
    folder = tmp_path / 'imported_once'
    folder.mkdir()
    (folder / '__init__.py').write_text('import imported_once.part\nready = True\n')
    (folder / 'part.py').write_text('')
    (folder / 'data.txt').write_text('resource')
    monkeypatch.syspath_prepend(tmp_path)
    yield 'imported_once'
    for name in [name for name in sys.modules if name.startswith('imported_once')]:
        del sys.modules[name]


def test_called_once_when_the_package_is_complete(package):
    seen: list = []
    before = list(sys.meta_path)
    after_import(package, lambda: seen.append(sys.modules[package].ready))
    assert seen == []
    import importlib.resources

    module = importlib.import_module(package)
    assert seen == [True] and sys.meta_path == before
    importlib.import_module(f'{package}.part')
    assert seen == [True]
    assert importlib.resources.files(package).joinpath('data.txt').read_text() == 'resource'
    assert type(module.__spec__.loader).__name__ == 'SourceFileLoader'
    importlib.reload(module)
    assert seen == [True]


def test_called_at_once_for_what_is_imported(package):
    seen: list = []
    after_import('json', lambda: seen.append(json.__name__))
    assert seen == ['json']


def test_a_package_that_is_not_there_stays_so():
    after_import('no_such_package_at_all', pytest.fail)
    with pytest.raises(ModuleNotFoundError):
        import no_such_package_at_all  # noqa: F401


@pytest.mark.slow
@pytest.mark.parametrize('order', ['hsjp_mm, mmengine', 'mmengine, hsjp_mm', 'hsjp_mm, torch'])
def test_mmengine_is_told_whichever_comes_first(order, tmp_path: Path):
    base = 'hsjp_mm::hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'
    (tmp_path / 'child.py').write_text(f'_base_ = [{base!r}]')
    code = (
        f'import {order}\n'
        'from mmengine import Config\n'
        'from mmengine.config.utils import MODULE2PACKAGE\n'
        'import torch\n'
        'from mmengine.logging import HistoryBuffer\n'
        'torch.save([HistoryBuffer([1.0], [1])], "buffer.pth")\n'
        'torch.load("buffer.pth")\n'
        'Config.fromfile("child.py")\n'
        'print(MODULE2PACKAGE["hsjp_mm"])'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split()[-1:] == ['hsjp_mm.version'], done.stderr


def test_importing_the_package_alone_imports_nothing_heavy():
    code = 'import sys, hsjp_mm; print(*({"torch", "mmengine", "numpy", "cv2"} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ''


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(torch.serialization, 'get_safe_globals'), reason='new in torch 2.6')
@pytest.mark.parametrize('module', ['checkpoint', 'registry', 'models', 'utils.mmengine_globals'])
def test_any_module_may_be_the_first(module):
    code = (
        f'import hsjp_mm.{module}, mmengine, torch; print(torch.serialization.get_safe_globals())'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True
    )
    assert 'HistoryBuffer' in done.stdout, done.stderr
