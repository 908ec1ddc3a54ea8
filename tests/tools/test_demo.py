"""The demo, on a few drawn people and for a few iterations."""

import subprocess
import sys
from pathlib import Path

import pytest

from hsjp_mm.datasets.toy_people import render

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ('pretext', 'boards', 'tensors', 'told'),
    [('hsjp', 4, 234, 'patches placed right: 0.'), ('jigclu', 1, 234, 'patches located right: 0.')],
)
def test_demo_comes_to_a_report(tmp_path, pretext, boards, tensors, told):
    render(tmp_path / 'toy', num_train=6, num_val=3)
    options = ['train_cfg.max_iters=4', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=4']
    options += ['default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1']
    done = subprocess.run(
        [
            sys.executable, ROOT / 'tools/demo.py', '--pretext', pretext, '--out', tmp_path,
            '--cfg-options', *options,
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'backbone: {tensors} of {tensors} tensors' in done.stdout
    assert told in done.stdout
    assert f'AP, {pretext}-pre: ' in done.stdout
    assert f'report: {tmp_path}/report.html' in done.stdout
    text = (tmp_path / 'report.html').read_text()
    assert text.count('data:image/jpeg') == 2 * boards + 2  # the first and last, poses of both
