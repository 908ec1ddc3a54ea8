"""The demo, on a few drawn people and for a few iterations."""

import runpy
import sys

from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/demo.py'))['main']


def test_demo_comes_to_a_report(tmp_path, monkeypatch, capfd):
    """With either pretext; from scratch, which is the same for both, it is trained once."""
    render(tmp_path / 'toy', num_train=6, num_val=3)
    options = ['train_cfg.max_iters=4', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=4']
    options += ['default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1']
    train, trained = main.__globals__['train'], {}

    def train_once(name, out, options):
        if name not in trained:
            trained[name] = train(name, out, options)
        return trained[name]

    monkeypatch.setitem(main.__globals__, 'train', train_once)
    for pretext, boards, told in (
        ('hsjp', 4, 'patches placed right: 0.'),
        ('jigclu', 1, 'patches located right: 0.'),
    ):
        arguments = ['--pretext', pretext, '--out', str(tmp_path), '--cfg-options', *options]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, 'argv', ['demo.py', *arguments])
        main()
        said = capfd.readouterr().out
        assert 'backbone: 234 of 234 tensors' in said
        assert told in said
        assert f'AP, {pretext}-pre: ' in said
        assert f'report: {tmp_path}/report.html' in said
        text = (tmp_path / 'report.html').read_text()
        assert text.count('data:image/jpeg') == 2 * boards + 2  # first and last, poses of both
