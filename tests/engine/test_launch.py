import sys

import pytest

from hsjp_mm.engine import launch
from hsjp_mm.engine.launch import read_arguments, run_stock_tool, stock_script, with_cfg_options


def test_options_of_the_user_stay_the_last_word():
    added = ('a=1', 'b=2')
    assert with_cfg_options(['c.py'], added) == ['c.py', '--cfg-options', 'a=1', 'b=2']
    given = ['c.py', '--cfg-options', 'a=3', '--amp']
    assert with_cfg_options(given, added) == ['c.py', '--cfg-options', *added, 'a=3', '--amp']


def test_mmpose_without_its_tools_is_named():
    with pytest.raises(FileNotFoundError, match=r'no\.py does not exist: MMPose was installed'):
        stock_script('no.py')


def test_arguments_are_read_by_mmposes_own_function(monkeypatch, capsys):
    monkeypatch.setenv('LOCAL_RANK', '0')  # which MMPose's tools set
    command = 'train c.py --work-dir a --resume b.pth --cfg-options d=1 e=2 --cfg-options f=[3]'
    monkeypatch.setattr(sys, 'argv', command.split())
    args = read_arguments(stock_script('train.py'))
    assert (args.config, args.work_dir, args.resume) == ('c.py', 'a', 'b.pth')
    assert args.cfg_options == ['d=1', 'e=2', 'f=[3]']
    monkeypatch.setattr(sys, 'argv', ['test', 'c.py', 'x.pth', '--cfg-options', 'd'])
    with pytest.raises(SystemExit, match='2'):
        read_arguments(stock_script('test.py'))
    assert "argument --cfg-options: 'd' must be KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ('command', 'error'),
    [
        ('train no.py', "config='no.py' does not exist"),
        ('train mmpose::a/b.py', "config='mmpose::a/b.py' does not exist"),
        ('test {config} x.pth --cfg-options a.7=3', 'cfg_options=.* does not fit config='),
        ('test {config} gone.pth', "checkpoint='gone.pth' is not a file"),
    ],
)
def test_a_config_is_read_before_anything_starts(command, error, tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    (tmp_path / 'c.py').write_text('a = [1]\n')
    command = command.format(config=tmp_path / 'c.py')
    monkeypatch.setattr(sys, 'argv', command.split())
    with pytest.raises((FileNotFoundError, ValueError), match=error):
        run_stock_tool(f'{command.split()[0]}.py')


@pytest.mark.parametrize(
    ('started', 'options', 'error'),
    [
        (dict(RANK='1', WORLD_SIZE='2'), '', 'started 2 processes.*give --launcher pytorch'),
        ({}, '--launcher pytorch', '--launcher=pytorch needs torchrun'),
    ],
)
def test_a_launcher_that_does_not_go_with_the_start_is_refused(
    started, options, error, tmp_path, monkeypatch
):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    for name, value in {'LOCAL_RANK': '0', **started}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, 'argv', f'train.py {tmp_path}/c.py {options}'.split())
    with pytest.raises(ValueError, match=error):
        run_stock_tool('train.py')


def test_names_that_a_config_sets_in_vain_are_a_warning(monkeypatch, tmp_path, log_file):
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = ['hsjp_mm::hsjp/hsjp_res50_4xb64-240e_coco-224x224.py']\ndata_root = 'mine/'\n"
    )
    options = ['--cfg-options', 'input_size=64', 'train_dataloader.batch_size=4']
    monkeypatch.setattr(sys, 'argv', ['train.py', str(path), *options])
    with pytest.raises(
        FileNotFoundError, match=r"ann_file='data/coco/"
    ):  # as the names have no use
        run_stock_tool('train.py')
    data, size = log_file.read_text().splitlines()
    assert 'mine.py: data_root is set' in data and 'set train_dataloader.dataset.data_root' in data
    assert 'mine.py: input_size is set' in size


def test_options_reach_the_script_with_their_spaces(monkeypatch, tmp_path):
    """Run MMPose's own script up to its reading of the arguments."""
    path = tmp_path / 'c.py'
    path.write_text("a = 'x'\n")
    found = {}

    def run_script(script):
        names: dict = {}
        exec(compile(script.read_bytes(), str(script), 'exec'), names)
        found.update(names['parse_args']().cfg_options)

    monkeypatch.setattr(launch, 'run_script', run_script)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(sys, 'argv', ['train.py', str(path), '--cfg-options', 'a=toy ä/b'])
    run_stock_tool('train.py')
    assert found['a'] == 'toy ä/b'
