"""hsjp_mm used from a folder outside this repository: our tools, mim, `hsjp_mm::` bases."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner

from tests.helpers import ROOT

MIM = Path(sys.executable).with_name('mim')
PIP = ('--no-deps', '--no-build-isolation', '--no-index')
DEFAULT = 'hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'

# What a user writes who changes a config of ours: a smaller network, own data, one epoch.
INHERITING = f"""
_base_ = ['hsjp_mm::{DEFAULT}', 'hsjp_mm::_base_/hrnet-tiny.py']
size = (64, 64)
pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=size),
    dict(type='PackPoseInputs'),
]
loader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root='data/', ann_file='boxes.json', data_prefix=dict(img='images/'), num_samples=2,
        pipeline=pipeline,
    ),
)
model = dict(
    grid=2,
    input_size=size,
    backbone=dict(_delete_=True, **_base_.hrnet_tiny),
    head=dict(in_channels=16),
)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=1, val_interval=1)
"""

# What a user writes who adds HSJP to a config of his own.
OWN = """
_base_ = ['mmpose::_base_/default_runtime.py']
size = (64, 64)
model = dict(
    type='hsjp_mm.HSJP',
    grid=2,
    input_size=size,
    data_preprocessor=dict(type='PoseDataPreprocessor'),
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    head=dict(type='hsjp_mm.HSJPHead', in_channels=64),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='hsjp_mm.PersonCropDataset',
        data_prefix=dict(img='data/images'),
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=size),
            dict(type='hsjp_mm.ColorAugmentation'),
            dict(type='PackPoseInputs'),
        ],
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = None
test_cfg = None
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
"""

# argv[1] is a config that inherits through `hsjp_mm::`.
READ = """
import json, sys
from mmengine.registry import MODELS, init_default_scope
init_default_scope('mmpose')
head = MODELS.get('hsjp_mm.HSJPHead')
import hsjp_mm, mim
from mmengine import Config
from mmengine.hub import get_config
print(json.dumps(dict(
    package=hsjp_mm.__file__,
    head=sys.modules[head.__module__].__file__,
    inherited=Config.fromfile(sys.argv[1]).optim_wrapper.optimizer.lr,
    read=get_config('hsjp_mm::CONFIG').model.grid,
    listed=sorted(mim.get_model_info('hsjp_mm', to_dict=True)),
)))
""".replace('CONFIG', DEFAULT)


@pytest.fixture(scope='module')
def project(tmp_path_factory, tiny_coco) -> Path:
    """A user's folder: two configs, and data beside them."""
    folder = tmp_path_factory.mktemp('project')
    shutil.copytree(tiny_coco, folder / 'data')
    (folder / 'inheriting.py').write_text(INHERITING)
    (folder / 'own.py').write_text(OWN)
    return folder


@pytest.fixture(scope='module')
def distributions(tmp_path_factory) -> tuple[Path, Path]:
    """The sdist of a copy of the sources, and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp('distributions')
    source = folder / 'source'
    shutil.copytree(ROOT / 'hsjp_mm', source / 'hsjp_mm', symlinks=True)
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, source / name)
        (source / name / '__pycache__').mkdir(exist_ok=True)
        (source / name / '__pycache__/old.pyc').touch()
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    (source / 'tests').mkdir()
    shutil.copy(__file__, source / 'tests')
    script = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    run(source, sys.executable, '-c', script)
    [sdist] = folder.glob('*.tar.gz')
    run(folder, sys.executable, '-m', 'pip', 'wheel', *PIP, sdist)
    [wheel] = folder.glob('*.whl')
    return sdist, wheel


@pytest.fixture(scope='module')
def wheel(tmp_path_factory, distributions) -> Path:
    """A folder into which pip has installed hsjp_mm, not editable."""
    folder = tmp_path_factory.mktemp('wheel')
    options = [*PIP, '--no-compile', '--target', folder]
    run(folder, sys.executable, '-m', 'pip', 'install', *options, distributions[1])
    return folder


@pytest.fixture(scope='module')
def clean(tmp_path_factory, distributions) -> Path:
    """The programs of an environment that has the wheel, and what it needs by a path.

    Nothing of the clone is in it: an editable install works by a .pth file, and those of a folder
    on a path are not read.
    """
    folder = tmp_path_factory.mktemp('clean') / 'environment'
    venv.create(folder, with_pip=False)
    programs = folder / 'bin'
    pip = (sys.executable, '-m', 'pip', '--python', programs / 'python')
    run(folder, *pip, 'install', *PIP, distributions[1])
    [site] = folder.glob('lib/python*/site-packages')
    (site / 'needed.pth').write_text(sysconfig.get_path('purelib'))
    return programs


def run(folder: Path, *command, **environment) -> str:
    """Run a command in a folder, without our PYTHONPATH; what it prints."""
    inherited = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**inherited, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore', **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


def scalars(work_dir: Path) -> list[dict]:
    """What the last run logged."""
    path = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_our_tools_train_resume_and_test_a_config_with_our_base(project):
    train = [sys.executable, ROOT / 'tools/train.py', 'inheriting.py', '--work-dir', 'out']
    run(project, *train, '--auto-scale-lr', '--launcher', 'none', '--cfg-options', 'model.seed=3')
    first = scalars(project / 'out')
    assert first[0]['lr'] == pytest.approx(1e-3 * 2 / 256)
    output = run(
        project, *train, '--resume', '--cfg-options', 'model.seed=3', 'train_cfg.max_epochs=2'
    )
    assert 'resumed epoch: 1, iter: 1' in output
    assert 'Failed to search registry' not in output
    second = scalars(project / 'out')
    assert second[0]['epoch'] == 2
    test = [sys.executable, ROOT / 'tools/test.py', 'inheriting.py', 'out/epoch_2.pth']
    run(project, *test, '--out', 'metrics.json', '--cfg-options', 'model.seed=3')
    metrics = json.loads((project / 'metrics.json').read_text())
    assert metrics['hsjp/error'] == pytest.approx(second[-1]['hsjp/error'], rel=1e-5)
    assert metrics['hsjp/placed_chance'] == 0.25


def test_our_tools_take_mmposes_arguments(project, monkeypatch):
    configs = []

    def from_cfg(cfg):
        configs.append(cfg)
        return SimpleNamespace(train=lambda: None, test=lambda: None)

    monkeypatch.chdir(project)
    monkeypatch.setattr(Runner, 'from_cfg', from_cfg)
    monkeypatch.setenv('LOCAL_RANK', '0')  # which MMPose's tools set
    train = 'inheriting.py --work-dir a --amp --resume b.pth --auto-scale-lr --no-validate'
    test = 'inheriting.py c.pth --work-dir d'
    (project / 'c.pth').touch()
    for tool, arguments in (('train.py', train), ('test.py', test)):
        options = '--launcher none --cfg-options model.grid=4'
        monkeypatch.setattr(sys, 'argv', [tool, *arguments.split(), *options.split()])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        assert not ended.value.code
    train_config, test_config = configs
    assert train_config.work_dir == 'a'
    assert train_config.optim_wrapper.type == 'AmpOptimWrapper'
    assert (train_config.resume, train_config.load_from) == (True, 'b.pth')
    assert train_config.auto_scale_lr.enable
    assert train_config.val_dataloader is None
    assert (test_config.load_from, test_config.work_dir) == ('c.pth', 'd')
    assert [(config.model.grid, config.launcher) for config in configs] == [(4, 'none')] * 2


@pytest.mark.slow
def test_mim_train_mmpose(project):
    run(project, MIM, 'train', 'mmpose', 'own.py', '--gpus', '0')
    assert (project / 'work_dirs/own/epoch_1.pth').is_file()
    assert 0 <= scalars(project / 'work_dirs/own')[0]['placed'] <= 1


@pytest.mark.slow
def test_what_is_released_holds_the_package_and_no_tests(distributions):
    sdist, wheel = distributions
    version = re.search(r"'(.+)'", (ROOT / 'hsjp_mm/version.py').read_text())[1]
    root = f'hsjp_mm-{version}'
    assert (sdist.name, wheel.name) == (f'{root}.tar.gz', f'{root}-py3-none-any.whl')
    with tarfile.open(sdist) as file:
        packed = {name.removeprefix(f'{root}/') for name in file.getnames()}
    installed = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in ROOT.glob('hsjp_mm/**/*.py')}
    modules = {name for name in modules if '.mim' not in name}
    mim = {f'hsjp_mm/.mim/{name}' for name in ('tools/train.py', f'configs/{DEFAULT}')}
    data = {'hsjp_mm/py.typed', 'hsjp_mm/models/body_models/free_body.npz'}
    assert (modules | mim | data) <= packed & installed
    assert {'README.md', 'CHANGELOG.md', 'LICENSE', 'NOTICE', 'pyproject.toml'} <= packed
    assert {name.partition('/')[0] for name in installed} == {'hsjp_mm', f'{root}.dist-info'}
    assert [name for name in packed if name.partition('/')[0] == 'tests'] == []
    assert [name for name in packed | installed if name.endswith('.pyc')] == []


@pytest.mark.slow
def test_the_index_of_packages_would_take_them(distributions):
    pytest.importorskip('twine')
    folder = distributions[0].parent
    output = run(folder, sys.executable, '-m', 'twine', 'check', '--strict', *distributions)
    assert output.count('PASSED') == 2


@pytest.mark.slow
def test_wheel_holds_configs_tools_and_index(wheel):
    mim = wheel / 'hsjp_mm/.mim'
    files = [ROOT / name for name in ('model-index.yml', 'pyproject.toml')]
    sources = [*files, *(ROOT / 'configs').rglob('*'), *ROOT.glob('tools/*.py')]
    expected = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in sources
        if path.is_file() and '__pycache__' not in path.parts
    }
    found = {str(path.relative_to(mim)): path for path in mim.rglob('*') if path.is_file()}
    assert sorted(found) == sorted(expected)
    assert [n for n, content in expected.items() if found[n].read_bytes() != content] == []
    assert not any(path.is_symlink() for path in wheel.rglob('*'))
    assert (wheel / 'hsjp_mm/py.typed').is_file()
    assert {p.name for p in wheel.glob('*.dist-info/licenses/*')} == {'LICENSE', 'NOTICE'}


@pytest.mark.slow
def test_wheel_is_found_by_registries_bases_and_mim(wheel, project):
    command = [sys.executable, '-c', READ, project / 'inheriting.py']
    found = json.loads(run(project, *command, PYTHONPATH=str(wheel)).splitlines()[-1])
    assert found['package'] == str(wheel / 'hsjp_mm/__init__.py')
    assert found['head'] == str(wheel / 'hsjp_mm/models/heads/hsjp_head.py')
    assert found['inherited'] == 1e-3
    assert found['read'] == 6
    assert Path(DEFAULT).stem in found['listed']


@pytest.mark.slow
def test_mim_train_hsjp_mm_from_the_wheel(wheel, project):
    data = ('data_root=data/', 'ann_file=boxes.json', 'data_prefix.img=images/', 'num_samples=2')
    options = [
        *(f'train_dataloader.dataset.{option}' for option in data),
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'train_dataloader.batch_size=2', 'train_cfg.max_epochs=1',
        'default_hooks.checkpoint.interval=-1', 'default_hooks.checkpoint.save_last=False',
    ]  # fmt: skip
    output = run(
        project, MIM, 'train', 'hsjp_mm', DEFAULT, '--gpus', '0', '--work-dir', 'mim',
        '--no-validate', '--cfg-options', *options, PYTHONPATH=str(wheel),
    )  # fmt: skip
    assert f'will use {wheel / "hsjp_mm/.mim/configs" / DEFAULT} instead' in output
    assert 0 <= scalars(project / 'mim')[0]['placed'] <= 1


@pytest.mark.slow
def test_mim_run_runs_every_tool_of_the_wheel(wheel, project):
    arguments = 'data/boxes.json', '--out', 'subset.json', '--fraction', '1'
    output = run(project, MIM, 'run', 'hsjp_mm', 'make_subset', *arguments, PYTHONPATH=str(wheel))
    assert f'Use the script {wheel}/hsjp_mm/.mim/tools/make_subset.py' in output
    assert 'subset.json: 1 of 1 images with labelled persons' in output


@pytest.mark.slow
def test_the_commands_of_a_clean_environment_run_from_any_folder(clean, project):
    command = clean / 'hsjp-mm'
    where = run(project, clean / 'python', '-c', 'import hsjp_mm; print(hsjp_mm.__file__)')
    assert Path(where.strip()).is_relative_to(clean.parent)
    assert {'train', 'compare', 'check-data'} <= set(run(project, command).split())
    run(project, command, 'train', 'inheriting.py', '--work-dir', 'clean')
    output = run(project, command, 'check-init', 'inheriting.py', 'clean/epoch_1.pth')
    assert '234 of 234 tensors' in output


@pytest.mark.skipif(
    not (ROOT / 'hsjp_mm.egg-info').is_dir(), reason='the clone is not installed in place'
)
@pytest.mark.slow
def test_mim_finds_a_clone_on_the_path(project):
    script = "from mim.utils import get_installed_path; print(get_installed_path('hsjp_mm'))"
    output = run(project, sys.executable, '-c', script, PYTHONPATH=str(ROOT))
    folder = Path(output.splitlines()[-1])
    assert folder == ROOT / 'hsjp_mm'
    assert (folder / '.mim/configs' / DEFAULT).is_file()
    assert (folder / '.mim/tools/train.py').is_file()
