"""What the README tells users to write works as it stands there."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT

README = (ROOT / 'README.md').read_text()


@pytest.mark.slow
def test_config_for_a_users_project_trains(tmp_path, tiny_coco):
    config = re.search(r'```python\n(_base_ = \[\'mmpose::.*?)```', README, re.S)[1]
    assert len(config.splitlines()) <= 15
    (tmp_path / 'mine.py').write_text(config)
    shutil.copytree(tiny_coco, tmp_path / 'data/mine')
    options = [
        'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'train_dataloader.dataset.num_samples=2', 'default_hooks.logger.interval=1',
        'model.input_size=(224,224)',
    ]  # fmt: skip
    command = [sys.executable, ROOT / 'tools/train.py', 'mine.py', '--cfg-options', *options]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    [log] = tmp_path.glob('work_dirs/mine/*/vis_data/scalars.json')
    [line] = [json.loads(text) for text in log.read_text().splitlines()]
    assert line['loss_puzzle'] > 0 and 0 <= line['placed'] <= 1


def slug(heading: str) -> str:
    return re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')


def test_files_that_it_names_exist():
    for link in re.findall(r'\]\(((?:configs|tools)/[^)]*)\)', README):
        path, _, section = link.partition('#')
        headings = re.findall(r'^#+ (.+)$', (ROOT / path).read_text(), re.M) if section else []
        assert (ROOT / path).exists(), link
        assert not section or section in [slug(heading) for heading in headings], link
    for name in re.findall(r'(?:tools|configs)/[\w/.-]+\.(?:py|sh)', README):
        assert (ROOT / name).exists(), name
