"""The command writes what the config's data set reads, and finds what is damaged."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from mmengine.registry import DATASETS, init_default_scope

from hsjp_mm.datasets import set_input_size
from tests.helpers import ROOT, damage_middle

main = runpy.run_path(str(ROOT / 'tools/store.py'))['main']


@pytest.fixture
def config(tiny_config, tmp_path) -> str:
    """Of HSJP, which tells its pipeline the size of the crops."""
    cfg = tiny_config()
    cfg.train_dataloader.dataset.store = 'not/there/yet'
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline[2].pop('input_size')
    cfg.dump(tmp_path / 'config.py')
    return str(tmp_path / 'config.py')


@pytest.mark.slow
def test_write_check_and_read(config, tiny_config, tmp_path, capsys):
    out = tmp_path / 'store'
    command = [config, '--out', str(out)]
    assert main([*command, '--shard-size', '4']) == 0
    printed = capsys.readouterr().out
    assert 'shard 2 of 2: 2 crops, ' in printed
    told = re.search(r"now train with train_dataloader\.dataset\.store='(.+)'", printed)
    assert told is not None
    init_default_scope('mmpose')
    dataset = DATASETS.build(dict(tiny_config().train_dataloader.dataset, store=told[1]))
    set_input_size(dataset, (64, 64))
    assert len(dataset) == 6 and dataset[5]['inputs'].shape == (3, 64, 64)
    assert main([*command, '--check']) == 0
    assert 'all hashes are right, and 6 of 6 instances are in it\n' in capsys.readouterr().out
    with Path(config).open('a') as file:
        file.write('train_dataloader["dataset"]["pipeline"][1]["padding"] = 4.0\n')
    assert main([*command, '--check']) == 2
    assert 'reach beyond what is stored, by the augmentation of' in capsys.readouterr().err
    damage_middle(out / 'shard-00001.lmdb')
    assert main([*command, '--check']) == 1
    assert 'shard-00001.lmdb is damaged' in capsys.readouterr().out


def test_what_is_wrong_is_told_in_a_sentence(config, tmp_path, capsys):
    out = ['--out', str(tmp_path / 'store')]
    assert main([config, *out, '--check']) == 2
    assert 'is no store of crops: it has no manifest.json' in capsys.readouterr().err
    for flag, value in (('--quality', '90'), ('--margin', '2'), ('--shard-size', '8')):
        assert main([config, *out, '--check', flag, value]) == 2
        said = capsys.readouterr().err
        assert f'{flag}={float(value):g}' in said.replace('.0', '') and '--check writes' in said
    assert main([config, *out, '--quality', '101']) == 2
    assert '--quality=101 must be from 1 to 100' in capsys.readouterr().err
    (tmp_path / 'two.py').write_text(
        f"_base_ = ['{config}']\n"
        'data = _base_.train_dataloader.dataset\n'
        "both = dict(_delete_=True, type='ConcatDataset', datasets=[data, data])\n"
        'train_dataloader = dict(dataset=both)\n'
    )
    assert main([str(tmp_path / 'two.py'), *out]) == 2
    said = capsys.readouterr().err
    assert 'train_dataloader.dataset has 2 of hsjp_mm.PersonCropDataset, and must have one' in said


def test_a_check_needs_no_photographs_and_tells_what_could_not_be_read(
    config, tiny_config, tmp_path, capsys
):
    data = tiny_config().train_dataloader.dataset
    images = Path(data.get('data_root') or '', data.data_prefix.img)
    shutil.copytree(images, tmp_path / 'copy')
    (tmp_path / 'mine.py').write_text(
        f"_base_ = ['{config}']\n"
        f"dataset = dict(data_prefix=dict(img='{tmp_path}/copy/'))\n"
        'train_dataloader = dict(dataset=dataset)\n'
    )
    spoilt = DATASETS.build(data).data_list[0]['img_path']
    (tmp_path / 'copy' / Path(spoilt).name).write_bytes(b'none')
    command = [str(tmp_path / 'mine.py'), '--out', str(tmp_path / 'store')]
    assert main(command) == 0
    lost = int(re.search(r'images of (\d+) instances cannot be read', capsys.readouterr().out)[1])
    shutil.rmtree(tmp_path / 'copy')
    assert main([*command, '--check']) == 0
    told = f'{6 - lost} of 6 instances are in it; the images of {lost} could not be read'
    assert told in capsys.readouterr().out
