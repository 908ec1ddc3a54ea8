import mmpose
import pytest

from hsjp_mm.engine.launch import run_stock_tool, with_cfg_options


def test_options_of_the_user_stay_the_last_word():
    added = ('a=1', 'b=2')
    assert with_cfg_options(['c.py'], added) == ['c.py', '--cfg-options', 'a=1', 'b=2']
    given = ['c.py', '--cfg-options', 'a=3', '--amp']
    assert with_cfg_options(given, added) == ['c.py', '--cfg-options', *added, 'a=3', '--amp']


def test_mmpose_without_its_tools_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(mmpose, '__file__', str(tmp_path / '__init__.py'))
    with pytest.raises(FileNotFoundError, match=r'train\.py does not exist: MMPose was installed'):
        run_stock_tool('train.py')
