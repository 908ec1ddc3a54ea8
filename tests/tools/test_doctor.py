"""The doctor: each incompatibility from made-up facts, then whole runs in made-up environments."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import replace

import pytest

from tests.helpers import ROOT

DOCTOR = ROOT / 'tools' / 'doctor.py'

spec = importlib.util.spec_from_file_location('doctor', DOCTOR)
doctor = importlib.util.module_from_spec(spec)
sys.modules['doctor'] = doctor  # dataclasses look their module up
spec.loader.exec_module(doctor)

RANGES = doctor.versions.supported_ranges()
VERSIONS = {'python': '3.11.7', 'torch': '2.11.0', 'numpy': '1.26.4', 'setuptools': '80.9.0'}
VERSIONS |= {name: text[2:] for name, text in RANGES.items() if text.startswith('==')}
VERSIONS |= {'opencv-python': '4.11', 'hsjp_mm': '0.1.0', 'mmpretrain': None, 'chumpy': '0.70'}
VERSIONS |= {name: '1.0' for name in RANGES if name not in VERSIONS}
HEALTHY = doctor.Facts(
    versions=VERSIONS,
    ranges=RANGES,
    errors={'mmpretrain': "ModuleNotFoundError: No module named 'mmpretrain'"},
    owners={'mmcv': ['mmcv'], 'mmengine': ['mmengine']},
    package='/site-packages/hsjp_mm',
    mim='/site-packages/hsjp_mm/.mim',
)


def make(versions=None, errors=None, owners=None, **others):
    """Healthy facts with some of them changed."""
    return replace(
        HEALTHY,
        versions=HEALTHY.versions | (versions or {}),
        errors=HEALTHY.errors | (errors or {}),
        owners=HEALTHY.owners | (owners or {}),
        **others,
    )


NUMPY_ABI = 'ValueError: numpy.dtype size changed, may indicate binary incompatibility.'
NO_EXT = "ModuleNotFoundError: No module named 'mmcv._ext'"
UNDEFINED = 'ImportError: /site/mmcv/_ext.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZN3c1'
NMS = 'RuntimeError: operator torchvision::nms does not exist'
BOUND = 'AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4.'
REFUSED = 'RuntimeError: hsjp_mm needs mmcv==2.1.0 (2.2.0 is installed); run `python doctor.py`'

# what is changed, what the problem must say, and a line of its fix
BREAKING = {
    'numpy 2, xtcocotools wheel': (
        make({'numpy': '2.2.6'}, {'xtcocotools': NUMPY_ABI, 'mmpose': NUMPY_ABI}),
        'numpy 2.2.6 does not fit the compiled part of xtcocotools, mmpose',
        "pip install 'numpy<2'",
    ),
    'numpy 2.3': (
        make({'numpy': '2.3.5'}),
        "numpy 2.3.5 breaks MMPose's own code",
        "pip install 'numpy<2'",
    ),
    'numpy 2.2, xtcocotools built here': (
        make({'numpy': '2.2.6'}),
        'numpy 2.2.6 is outside of numpy<2',
        "pip install 'numpy<2'",
    ),
    'setuptools 82': (
        make({'setuptools': '82.0'}, {'setuptools': "ModuleNotFoundError: No module named "
                                                    "'pkg_resources'"}),
        'setuptools 82.0 has no pkg_resources',
        "pip install 'setuptools<81'",
    ),
    'torchvision of another build': (
        make({'torch': '2.13.0+cpu'}, {'torchvision': NMS, 'mmpose': NMS}),
        'torchvision 1.0 cannot load beside torch 2.13.0+cpu (torchvision, mmpose)',
        'pip install --force-reinstall -c constraints.txt torch torchvision',
    ),
    'checkpoints without hsjp_mm': (
        make(errors={'hsjp_mm': 'SyntaxError: invalid syntax'}),
        'torch 2.11.0 and checkpoints of MMEngine 0.10.7 do not work',
        'Make `import hsjp_mm` work: install it, or see the other problems.',
    ),
    'mmcv without ops': (
        make(errors={'mmcv ops': NO_EXT, 'mmdet': NO_EXT, 'mmpose': NO_EXT}),
        'mmcv 2.1.0 has no compiled ops (mmcv ops, mmdet, mmpose)',
        'pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'mmcv-lite alone': (
        make({'mmcv': None}, {'mmcv ops': NO_EXT}, {'mmcv': ['mmcv-lite']}),
        'mmcv from mmcv-lite has no compiled ops (mmcv ops)',
        'pip uninstall -y mmcv-lite',
    ),
    'mmcv built for another torch': (
        make(errors={'mmcv ops': UNDEFINED, 'mmdet': UNDEFINED}),
        'mmcv 2.1.0 is built for another torch than 2.11.0 (mmcv ops, mmdet)',
        'pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'mmcv built for an older torch': (
        make(errors={'mmcv ops': 'RuntimeError: nms_impl: implementation for device cuda:0 not '
                                 'found.'}),
        'mmcv 2.1.0 is built for another torch than 2.11.0 (mmcv ops)',
        'pip uninstall -y mmcv',
    ),
    "mmdet's bound": (
        make({'mmcv': '2.2.0'}, {'mmdet': BOUND, 'hsjp_mm': REFUSED}),
        'mmcv 2.2.0 is refused by mmdet',
        'pip uninstall -y mmcv',
    ),
    'two own mmcv': (
        make(owners={'mmcv': ['mmcv', 'mmcv-lite']}),
        'mmcv and mmcv-lite share the folder mmcv',
        'pip uninstall -y mmcv mmcv-lite',
    ),
    'two own mmengine': (
        make(owners={'mmengine': ['mmengine', 'onedl-mmengine']}),
        'mmengine and onedl-mmengine share the folder mmengine',
        'pip install mmengine==0.10.7',
    ),
    'cv2 on a bare machine': (
        make(errors={'opencv-python': 'ImportError: libGL.so.1: cannot open shared object file',
                     'mmcv ops': 'ImportError: libGL.so.1: cannot open shared object file'}),
        'cv2 lacks system libraries (opencv-python, mmcv ops)',
        'apt-get install libgl1 libglib2.0-0',
    ),
    'mmdet too old': (
        make({'mmdet': '3.2.0'}),
        'mmdet 3.2.0 is outside of mmdet==3.3.0',
        'pip install mmdet==3.3.0',
    ),
    'torch too old': (
        make({'torch': '2.5.1'}),
        'torch 2.5.1 is outside of torch>=2.6',
        'Then compile mmcv again, which fits one torch only.',
    ),
    'python too new': (
        make({'python': '3.13.0'}),
        'python 3.13.0 is outside of python>=3.11,<3.13',
        'Make an environment with Python >=3.11,<3.13.',
    ),
    'absent': (
        make({'mmdet': None, 'mmpose': None},
             {'mmdet': "ModuleNotFoundError: No module named 'mmdet'",
              'mmpose': "ModuleNotFoundError: No module named 'mmdet'"}),
        'Not installed: mmdet, mmpose',
        'uv sync',
    ),
    'a dependency of a dependency absent': (
        make(errors={'mmengine': "ModuleNotFoundError: No module named 'addict'"}),
        'mmengine cannot be imported',
        'pip install addict',
    ),
    'an error that nobody knows': (
        make(errors={'mmdet': 'ValueError: odd', 'mmpose': 'ValueError: odd'}),
        'mmdet, mmpose cannot be imported',
        'pip install --force-reinstall --no-deps mmdet==3.3.0',
    ),
}  # fmt: skip

NOTES = {
    'checkpoints': (
        HEALTHY,
        'torch 2.11.0 and checkpoints of MMEngine 0.10.7 work once hsjp_mm is imported',
        "custom_imports = dict(imports=['hsjp_mm'])",
    ),
    'chumpy': (
        make({'chumpy': None}),
        '`pip check` says that mmpose requires chumpy, which is not installed',
        'Nothing.',
    ),
    'editable': (
        make(editable=True),
        '`mim train hsjp_mm ...` finds no config in this installation of hsjp_mm',
        'Write `mim train mmpose PATH/TO/CONFIG`, or install without -e (uv: --no-editable).',
    ),
    'CPU ops beside a GPU': (
        make(details={'mmcv ops': doctor.NO_GPU_OPS}),
        'mmcv 2.1.0 has CPU ops only, and there is a GPU',
        'FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'optional package broken': (
        make({'mmpretrain': '1.2.0'}, {'mmpretrain': 'ValueError: odd'}),
        'mmpretrain cannot be imported',
        'pip install --force-reinstall --no-deps mmpretrain',
    ),
}


@pytest.mark.parametrize('case', BREAKING)
def test_breaking_problem_is_found_with_its_fix(case):
    facts, what, fix = BREAKING[case]
    breaking = [problem for problem in doctor.find_problems(facts) if problem.breaks]
    found = [problem for problem in breaking if problem.what == what]
    assert len(found) == 1, breaking
    assert fix in found[0].fix.splitlines()
    # One cause is told once; hsjp_mm that fails for a cause of its own takes checkpoints with it.
    assert len(breaking) == (2 if 'hsjp_mm' in facts.errors else 1), breaking


@pytest.mark.parametrize('case', NOTES)
def test_note_does_not_break(case):
    facts, what, fix = NOTES[case]
    problems = doctor.find_problems(facts)
    assert not any(problem.breaks for problem in problems), problems
    found = [problem for problem in problems if problem.what == what]
    assert len(found) == 1, problems
    assert fix in found[0].fix.splitlines()


def test_healthy_facts_leave_one_note():
    assert [problem.package for problem in doctor.find_problems(HEALTHY)] == ['torch']


@pytest.mark.parametrize('case', [*BREAKING, *NOTES])
def test_page_is_narrow_and_leaves_commands_whole(case):
    facts, what, fix = (BREAKING | NOTES)[case]
    page = doctor.format_page(facts, doctor.find_problems(facts))
    assert max(len(line) for line in page.splitlines()) <= 100
    assert any(line.endswith(f'. {what}') for line in page.splitlines())
    assert any(line.removeprefix('     fix:').strip() == fix for line in page.splitlines())
    assert ('Nothing known will break.' in page) is (case in NOTES)


def test_each_import_is_tried_though_others_fail():
    errors, details = doctor.try_imports(
        {
            'noisy': "print('noise', end=''); detail = 'said'",
            'poison': "import sys; sys.modules['poison'] = sys; 1 / 0",
            'clean': "import sys; assert 'poison' not in sys.modules",
            'crash': 'import os; os.abort()',
            'exit': 'raise SystemExit(0)',
            'last': 'import json',
        }
    )
    assert errors == {
        'poison': 'ZeroDivisionError: division by zero',
        'crash': 'Python died with exit status -6',
        'exit': 'SystemExit: 0',
    }
    assert details == {'noisy': 'said', 'clean': '', 'last': ''}


def test_an_import_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor, 'TIMEOUT', 1)
    errors, details = doctor.try_imports({'first': '', 'hangs': 'while True: pass', 'last': ''})
    assert errors == {'hangs': 'Python did not finish in 1 s'}
    assert details == {'first': '', 'last': ''}


# Whole runs, in an environment of tiny packages with the names of the real ones

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


def test_present_environment_is_sound():
    result = run(sys.executable)
    assert result.returncode == 0, result.stdout
    assert 'Will break' not in result.stdout


def test_constraints_are_those_of_pyproject(plain_python):
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    result = run(plain_python, '--constraints')
    assert result.returncode == 0
    assert result.stdout.splitlines() == settings['tool']['uv']['constraint-dependencies']


def test_in_a_wheel(plain_python, fakes):
    """There the tool lies in hsjp_mm/.mim/tools, without a pyproject.toml."""
    tool = fakes / 'hsjp_mm' / '.mim' / 'tools' / 'doctor.py'
    tool.parent.mkdir(parents=True)
    shutil.copy(DOCTOR, tool)
    (fakes / 'hsjp_mm' / 'environment').mkdir()
    shutil.copy(
        ROOT / 'hsjp_mm' / 'environment' / 'requirements.py', fakes / 'hsjp_mm' / 'environment'
    )
    result = run(plain_python, '--constraints', packages=fakes, tool=tool)
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.startswith('doctor: --constraints wants a clone of hsjp_mm')
    assert len(result.stderr.splitlines()) == 1
    info = fakes / 'hsjp_mm-0.1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Name: hsjp_mm\nVersion: 0.1.0\nRequires-Dist: numpy>=99\n')
    result = run(plain_python, packages=fakes, tool=tool)
    assert result.returncode == 1
    assert f'numpy {VERSIONS["numpy"]} is outside of numpy>=99' in result.stdout
    assert f'hsjp_mm is not editable: {fakes / "hsjp_mm"}' in result.stdout
    assert f'its .mim: {tool.parents[1]}' in result.stdout
