"""Whole runs of the doctor, in environments of tiny packages with the names of the real ones."""

import os
import shutil
import subprocess
import sys
import venv

import pytest

from tests.environment.cases import RANGES, VERSIONS
from tests.helpers import ROOT

DOCTOR = ROOT / 'tools' / 'doctor.py'

FAKES = {
    'numpy': {'numpy': ''},
    'setuptools': {'pkg_resources': ''},
    'torch': {
        'torch': 'from . import version, cuda\ndef tensor(x): pass\ndef ones(n): pass',
        'torch.version': 'cuda = None',
        'torch.cuda': 'def is_available(): return False',
    },
    'torchvision': {
        'torchvision': 'from . import ops',
        'torchvision.ops': 'def nms(*given): pass',
    },
    'opencv-python': {'cv2': '__version__ = "4.11"'},
    'xtcocotools': {'xtcocotools': '', 'xtcocotools.coco': ''},
    'pycocotools': {'pycocotools': '', 'pycocotools.coco': ''},
    'safetensors': {'safetensors': '', 'safetensors.torch': ''},
    'mmengine': {'mmengine': '', 'mmengine.runner': ''},
    'mmcv': {
        'mmcv': '',
        'mmcv.ops': 'import mmcv._ext\ndef nms(*given): pass',
        'mmcv._ext': '',
    },
    'mmdet': {'mmdet': '', 'mmdet.models': 'import mmcv.ops'},
    'mmpose': {'mmpose': '', 'mmpose.datasets': 'import xtcocotools.coco', 'mmpose.models': ''},
}
FAKES |= {name: {name: ''} for name in RANGES if name not in {'python', *FAKES}}


def write_fake(folder, name, modules, version):
    for module, code in modules.items():
        path = folder / module.replace('.', '/') / '__init__.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code + '\n')
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    (info / 'RECORD').write_text(''.join(f'{m.replace(".", "/")}/__init__.py,,\n' for m in modules))


@pytest.fixture(scope='module')
def plain_python(tmp_path_factory):
    """A Python without a single package."""
    folder = tmp_path_factory.mktemp('plain')
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / 'bin' / 'python'


@pytest.fixture
def fakes(tmp_path):
    for name, modules in FAKES.items():
        write_fake(tmp_path, name, modules, VERSIONS[name])
    (tmp_path / 'hsjp_mm').mkdir()  # without metadata, so that the ranges come from setup.py
    (tmp_path / 'hsjp_mm' / '__init__.py').touch()
    return tmp_path


def run(python, *arguments, packages='', tool=DOCTOR):
    """Run the tool outside of the repository, so that only `packages` is seen."""
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    return subprocess.run(
        [str(python), str(tool), *arguments],
        capture_output=True,
        text=True,
        cwd=packages or None,
        env=environment | {'PYTHONPATH': str(packages), 'PYTHONDONTWRITEBYTECODE': '1'},
    )


def test_run_with_plain_python(plain_python, tmp_path):
    (tmp_path / 'empty').mkdir()
    result = run(plain_python, packages=tmp_path / 'empty')
    assert result.returncode == 1, result.stderr
    assert 'Will break (1)' in result.stdout
    told = result.stdout.partition('Not installed: ')[2].partition('why:')[0]
    absent = {name.strip() for name in told.split(',')}
    assert absent == (set(RANGES) - {'python'}) | {'opencv-python', 'hsjp_mm'}


def test_run_in_a_sound_environment(plain_python, fakes):
    result = run(plain_python, packages=fakes)
    assert result.returncode == 0, result.stdout
    assert result.stdout.endswith('\nNothing known will break.\n')
    row = next(line for line in result.stdout.splitlines() if line.startswith('  mmcv ops'))
    assert row.split(maxsplit=2)[2] == 'run on the CPU'


def test_run_with_mmcv_lite_over_mmcv(plain_python, fakes):
    shutil.rmtree(fakes / 'mmcv' / '_ext')
    write_fake(fakes, 'mmcv-lite', {'mmcv': ''}, '2.1.0')
    result = run(plain_python, packages=fakes)
    assert result.returncode == 1
    assert 'Will break (2)' in result.stdout
    assert 'mmcv and mmcv-lite share the folder mmcv' in result.stdout
    # mmpose imports nothing of mmcv here
    assert 'mmcv 2.1.0 has no compiled ops (mmcv ops, mmdet)' in result.stdout


def test_run_with_numpy_2_and_a_crash(plain_python, fakes):
    shutil.rmtree(fakes / f'numpy-{VERSIONS["numpy"]}.dist-info')
    write_fake(fakes, 'numpy', {}, '2.2.6')
    error = 'numpy.dtype size changed, may indicate binary incompatibility'
    (fakes / 'xtcocotools' / 'coco' / '__init__.py').write_text(f'raise ValueError({error!r})')
    (fakes / 'mmcv' / 'ops' / '__init__.py').write_text('import os; os.abort()')
    result = run(plain_python, packages=fakes)
    assert result.returncode == 1
    assert 'numpy 2.2.6 does not fit the compiled part of xtcocotools, mmpose' in result.stdout
    assert 'mmcv 2.1.0 is built for another torch than 2.11.0 (mmcv ops)' in result.stdout


def test_editable_install_is_named(plain_python, fakes):
    write_fake(fakes, 'hsjp_mm', {}, '0.1.0')
    origin = '{"url": "file:///clone", "dir_info": {"editable": true}}'
    (fakes / 'hsjp_mm-0.1.0.dist-info' / 'direct_url.json').write_text(origin)
    result = run(plain_python, packages=fakes)
    assert result.returncode == 0, result.stdout
    assert f'hsjp_mm is editable: {fakes / "hsjp_mm"}' in result.stdout
    assert 'its .mim: none' in result.stdout


@pytest.mark.slow
def test_present_environment_is_sound():
    result = run(sys.executable)
    assert result.returncode == 0, result.stdout
    assert 'Will break' not in result.stdout


def test_constraints_are_those_of_pyproject(plain_python):
    tomllib = pytest.importorskip('tomllib', reason='new in Python 3.11')
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    result = run(plain_python, '--constraints')
    assert result.returncode == 0
    assert result.stdout.splitlines() == settings['tool']['uv']['constraint-dependencies']


def test_in_a_wheel(plain_python, fakes):
    """There the tool lies in hsjp_mm/.mim/tools, and pyproject.toml in hsjp_mm/.mim."""
    tool = fakes / 'hsjp_mm' / '.mim' / 'tools' / 'doctor.py'
    tool.parent.mkdir(parents=True)
    shutil.copy(DOCTOR, tool)
    shutil.copytree(ROOT / 'hsjp_mm' / 'environment', fakes / 'hsjp_mm' / 'environment')
    result = run(plain_python, '--constraints', packages=fakes, tool=tool)
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('doctor: --constraints needs ')
    assert len(result.stderr.splitlines()) == 1
    shutil.copy(ROOT / 'hsjp_mm/.mim/pyproject.toml', tool.parents[1])
    result = run(plain_python, '--constraints', packages=fakes, tool=tool)
    assert result.returncode == 0 and 'numpy==' in result.stdout
    info = fakes / 'hsjp_mm-0.1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Name: hsjp_mm\nVersion: 0.1.0\nRequires-Dist: numpy>=99\n')
    result = run(plain_python, packages=fakes, tool=tool)
    assert result.returncode == 1
    assert f'numpy {VERSIONS["numpy"]} is outside of numpy>=99' in result.stdout
    assert f'python {tool} --constraints' in result.stdout
    assert f'hsjp_mm is not editable: {fakes / "hsjp_mm"}' in result.stdout
    assert f'its .mim: {tool.parents[1]}' in result.stdout
