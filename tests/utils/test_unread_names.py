"""What a config sets in vain is named, and nothing else."""

from pathlib import Path

import pytest
from mmengine.config import Config

from hsjp_mm.utils.unread_names import unread_names, warn_of_unread_names
from tests.helpers import ROOT

CONFIGS = sorted(p for p in ROOT.glob('configs/**/*.py') if '_base_' not in p.parts)
HSJP = 'hsjp_mm::hsjp/hsjp_hrnet-w32_4xb64-240e_coco-224x224.py'
BASE = """
data_root = 'data/coco/'
batch = 64
input_size = (224, 224)
note = 'of the base'
train_pipeline = [dict(type='LoadImage'), dict(type='Crop', input_size=input_size)]
train_dataloader = dict(
    batch_size=batch,
    dataset=dict(type='D', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=32, dataset=dict(type='D', data_root=data_root, pipeline=[]))
model = dict(type='M', input_size=input_size, channels=32)
"""


@pytest.fixture
def found(tmp_path):
    """A function that gives the unread names of a child of ``BASE``, and what is to be set."""

    def find(text: str, *options: str, base: str = BASE) -> dict[str, tuple[str, ...]]:
        (tmp_path / 'base.py').write_text(base)
        path = tmp_path / 'child.py'
        path.write_text(f"_base_ = ['base.py']\n{text}\n")
        config = Config.fromfile(path)
        config.merge_from_dict(dict(option.split('=') for option in options))
        keys = [option.split('=')[0] for option in options]
        return {unread.name: unread.instead for unread in unread_names(path, config, keys)}

    return find


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (
            "data_root = 'mine/'",
            {
                'data_root': (
                    'train_dataloader.dataset.data_root', 'val_dataloader.dataset.data_root',
                )
            },
        ),
        (
            'input_size = (256, 192)',
            {
                'input_size': (
                    'train_dataloader.dataset.pipeline.1.input_size', 'model.input_size',
                )
            },
        ),
        (
            "train_pipeline = [dict(type='LoadImage')]",
            {'train_pipeline': ('train_dataloader.dataset.pipeline',)},
        ),
        ('batch_size = 8', {
            'batch_size': ('train_dataloader.batch_size', 'val_dataloader.batch_size'),
        }),
        ("optim_wraper = dict(type='SGD')", {'optim_wraper': ('optim_wrapper',)}),
        ('batch = 8', {'batch': ()}),  # a number tells too little about where it went
        ("note = 'of the child'", {'note': ()}),
    ],
)  # fmt: skip
def test_names_that_change_nothing(found, text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    'text',
    [
        '',
        "data_root = 'data/coco/'",  # as in the base
        "data_root = 'mine/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))",
        "data_root = 'mine/'\ntrain_dataloader = dict(dataset=dict(data_root='mine/'))",
        'batch = 8\ntrain_dataloader = dict(batch_size=batch)',
        'my_note = 7',  # nobody takes it for a setting
        "work_dir = 'runs'\nload_from = 'a.pth'\nauto_scale_lr = dict(base_batch_size=8)",
        "model = dict(type='N')",
        "crop = [dict(type='LoadImage')]\nval_dataloader = dict(dataset=dict(pipeline=[*crop]))",
    ],
)
def test_names_that_are_read_and_notes(found, text):
    assert found(text) == {}


def test_options_of_the_command_line(found):
    assert list(found('', 'data_root=mine/', 'input_size=64')) == ['data_root', 'input_size']
    assert found('', 'train_dataloader.batch_size=4', 'work_dir=runs') == {}
    # the file uses it, but it was computed before
    used = "data_root = 'mine/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))"
    assert found(used, 'data_root=other/') == {
        'data_root': ('train_dataloader.dataset.data_root',),
    }


def test_a_grandchild(found, tmp_path):
    (tmp_path / 'leaf.py').write_text("_base_ = ['child.py']\ndata_root = 'mine/'\n")
    found('train_dataloader = dict(batch_size=1)')
    path = tmp_path / 'leaf.py'
    (unread,) = unread_names(path, Config.fromfile(path))
    assert unread.name == 'data_root' and len(unread.instead) == 2


def test_the_first_changes_of_a_newcomer(tmp_path, log_file):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = ['{HSJP}']\ndata_root = 'mine/'\ninput_size = (256, 256)\n")
    warn_of_unread_names(path, Config.fromfile(path))
    data, size = log_file.read_text().splitlines()
    assert 'mine.py: data_root is set at the top level, where nothing reads it: set ' in data
    assert 'train_dataloader.dataset.data_root, val_dataloader.dataset.data_root, test_' in data
    assert size.endswith('where nothing reads it: set model.input_size')


@pytest.mark.parametrize('suffix', ['.json', '.yaml'])
def test_configs_of_other_formats(found, tmp_path, suffix):
    found('')
    path = tmp_path / f'child{suffix}'
    path.write_text('{"_base_": ["base.py"], "data_root": "mine/", "work_dir": "runs"}')
    assert [unread.name for unread in unread_names(path, Config.fromfile(path))] == ['data_root']


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_no_false_alarm_over_our_configs(path: Path):
    assert unread_names(path, Config.fromfile(path)) == []


def test_no_false_alarm_over_the_config_that_a_run_writes(tmp_path):
    path = ROOT / 'configs/pbn/mpii/pbn_stack1_1xb16-250e_mpii-256x256.py'
    Config.fromfile(path).dump(tmp_path / 'run.py')
    assert unread_names(tmp_path / 'run.py', Config.fromfile(tmp_path / 'run.py')) == []
