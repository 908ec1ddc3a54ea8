"""Configs that a user names: found, read, or refused in words."""

import argparse

import mmengine.config
import pytest

from hsjp_mm.utils.configs import (
    config_file,
    parse_options,
    read_config,
    required,
    stock_options_with_spaces,
)
from tests.helpers import ROOT

DEMO = 'demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'
STOCK = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'


@pytest.mark.parametrize(
    'name',
    [
        str(ROOT / 'configs' / DEMO),
        f'hsjp_mm::{DEMO}',
        f'mmpose::{STOCK}',
        'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    ],
)
def test_files_and_configs_of_packages_are_read(name):
    assert config_file(name).is_file()
    assert 'backbone' in read_config(name, ['model.backbone.made_up=3']).model
    assert read_config(name, {'model.backbone.made_up': 3}).model.backbone.made_up == 3


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('no.py', "CONFIG='no.py' does not exist"),
        (f'hsjp_mm::{DEMO[:-4]}.py', f'is hsjp_mm::{DEMO} meant?'),
        (f'hsjp_mm::deno/{DEMO[5:]}', r'is hsjp_mm::demo meant\?'),
        ('nopackage::a.py', "'nopackage' is no installed package with configs"),
        ('json::a.py', "'json' is no installed package with configs"),
        ('{folder}', 'is a folder'),
        ('{folder}/a.txt', r'must be a config, which ends in \.py'),
        ('{folder}/syntax.py', 'cannot be read: .*line 2'),
        ('{folder}/name.py', r'name\.py, line 3: NameError'),
        ('{folder}/base.py', r'nowhere\.py'),
        ('{folder}/child.py', r'name\.py, line 3: NameError'),
        ('{folder}/package.py', 'does not support to load nopackage'),
    ],
)
def test_what_is_wrong_is_said(name, said, tmp_path):
    for file, text in {
        'a.txt': '',
        'syntax.py': 'a = 1\nb = (\n',
        'name.py': 'a = 1\n\nb = c\n',
        'base.py': "_base_ = ['nowhere.py']\n",
        'child.py': "_base_ = ['name.py']\n",
        'package.py': "_base_ = ['nopackage::a/b.py']\n",
    }.items():
        (tmp_path / file).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        read_config(name.format(folder=tmp_path), argument='CONFIG')


def test_options_are_mmengines():
    pairs = ['a.b=3', 'c=[1,(2,x)]', 'd=1,2', 'e=k=v', 'f=None', 'g=false']
    assert parse_options(pairs) == {
        'a.b': 3, 'c': [1, (2, 'x')], 'd': [1, 2], 'e': 'k=v', 'f': None, 'g': False,
    }  # fmt: skip
    assert parse_options([]) == {}
    with pytest.raises(ValueError, match="cfg_options='a' must be KEY=VALUE"):
        parse_options(['a'])


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('toy ä/a  b', 'toy ä/a  b'),
        ("'toy ä'", 'toy ä'),
        ('/data (1)/toy [x] ', '/data (1)/toy [x] '),
        (' 3 ', 3),
        ('None ', None),
        ('[a b, c,1 , (2, d e)]', ['a b', 'c', 1, (2, 'd e')]),
        ('a b, c', ['a b', 'c']),
        ("['a b', 'c']", ['a b', 'c']),
        ('[ 1, 2 ]', [1, 2]),
        ('[]', []),
    ],
)
def test_spaces_of_texts_are_kept(text, value):
    assert parse_options([f'a={text}']) == {'a': value}
    with stock_options_with_spaces():
        from mmengine.config import DictAction

        parser = argparse.ArgumentParser()
        parser.add_argument('--o', action=DictAction, nargs='+')
        assert parser.parse_args(['--o', f'a={text}', 'b=2']).o == {'a': value, 'b': 2}


def test_the_stock_action_is_put_back():
    with pytest.raises(OSError), stock_options_with_spaces():
        raise OSError
    assert mmengine.config.DictAction is mmengine.config.config.DictAction


def test_brackets_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"cfg_options='a=\[1,\(2\]' has brackets that do not m"):
        parse_options(['a=[1,(2]'])


def test_options_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / 'c.py'
    path.write_text('a = [1]\n')
    with pytest.raises(ValueError, match=r"--o=\['a.5=1'\] does not fit config="):
        read_config(str(path), ['a.5=1'], options_argument='--o')


def test_missing_parts_are_named(tmp_path):
    (tmp_path / 'c.py').write_text('a = dict(b=1, c=None)\n')
    config = read_config(str(tmp_path / 'c.py'))
    assert required(config, 'a.b') == 1
    for key in ('a.c', 'a.d', 'e', 'a.b.f'):
        with pytest.raises(ValueError, match=rf"c\.py' has no {key}, or None there; hint"):
            required(config, key, '; hint')
