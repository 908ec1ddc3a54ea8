"""The oracle's table."""

import json
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


@pytest.mark.slow
def test_a_keypoint_set_in_place_of_the_data_sets(tiny_coco, tmp_path, capsys):
    own = tmp_path / 'own.py'
    own.write_text(
        "dataset_info = dict(dataset_name='own', joint_weights=[1.0] * 4, sigmas=[0.05] * 4,\n"
        '    skeleton_info={}, keypoint_info={i: dict(name=str(i), id=i, color=[0, 0, 0],\n'
        '    type="", swap="") for i in range(4)})\n'
    )
    coco = json.loads((tiny_coco / 'boxes.json').read_text())
    for annotation in coco['annotations']:
        labelled = annotation['num_keypoints'] > 0
        annotation['keypoints'] = annotation['keypoints'][:12]
        annotation['num_keypoints'] = 4 * labelled
    (tmp_path / 'boxes.json').write_text(json.dumps(coco))
    options = [
        f'test_dataloader.dataset.ann_file={tmp_path}/boxes.json',
        f'test_dataloader.dataset.data_prefix.img={tiny_coco}/images',
        'test_dataloader.dataset.data_root=', f'test_evaluator.ann_file={tmp_path}/boxes.json',
        'model.head.decoder.decode_keypoint_order=[0,1,2,3]',
    ]  # fmt: skip
    arguments = [str(ROOT / CONFIG), '--metainfo', str(own), '--cfg-options', *options]
    assert main(arguments) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('1/')]
    assert [row.split()[-10] for row in rows] == ['1.000', '1.000']


def test_another_head_is_told_in_a_sentence(capsys):
    assert main([str(ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py')]) == 2
    assert 'must have a hsjp_mm.HigherHRNetHead as model.head' in capsys.readouterr().err


@pytest.mark.parametrize('number', [0, 4])
def test_resolutions_finer_than_the_image_are_refused(number, capsys):
    assert main([str(ROOT / CONFIG), '--resolutions', str(number)]) == 2
    assert f'--resolutions={number} must be 1, 2 or 3' in capsys.readouterr().err
