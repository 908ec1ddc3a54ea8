"""The oracle's table."""

import runpy

import pytest

from tests.helpers import ROOT

CONFIG = 'configs/higherhrnet/coco/higherhrnet_hrnet-w32_4xb12-300e_coco-512x512.py'
main = runpy.run_path(str(ROOT / 'tools/oracle_ae.py'))['main']


@pytest.mark.slow
def test_a_row_for_each_number_of_resolutions(tiny_coco, capsys):
    status = main(
        [
            str(ROOT / CONFIG), '--cfg-options',
            f'test_dataloader.dataset.data_root={tiny_coco}',
            'test_dataloader.dataset.ann_file=boxes.json',
            'test_dataloader.dataset.data_prefix.img=images',
            f'test_evaluator.ann_file={tiny_coco}/boxes.json',
        ]
    )  # fmt: skip
    assert status == 0
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith(('3 ', 'heat', '1/'))]
    assert lines[0] == '3 images' and 'coco/AP (M)' in lines[1]
    assert [line[:15].strip() for line in lines[1:]] == ['heat maps at', '1/4', '1/4, 1/2']
    # one person is annotated, with all keypoints in one place
    assert [line.split()[-10:][0] for line in lines[2:]] == ['1.000', '1.000']
