import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets import utils
from mmpose.datasets.datasets.base import base_coco_style_dataset

from hsjp_mm.datasets.metainfo import parse_metainfo
from tests.helpers import ROOT

LSP = ROOT / 'configs/_base_/datasets/lsp.py'
READERS = {
    'stock': lambda info: utils.parse_pose_metainfo(info),
    'of stock data sets': lambda info: base_coco_style_dataset.parse_pose_metainfo(info),
    'a stock data set': lambda info: CocoDataset(metainfo=info, lazy_init=True).metainfo,
    'ours': parse_metainfo,
}


@pytest.fixture
def written_and_read(tmp_path):
    """LSP's set of 14 keypoints in a config, as a work folder keeps it."""
    config = Config(dict(metainfo=Config.fromfile(LSP).dataset_info))
    config.dump(tmp_path / 'config.py')
    info = Config.fromfile(tmp_path / 'config.py').metainfo
    assert list(info.keypoint_info)[:4] == [0, 1, 10, 11]  # what MMEngine does to it
    return info


@pytest.mark.parametrize('reader', READERS)
def test_a_set_from_a_work_folder_is_the_set_it_was(reader, written_and_read):
    read = READERS[reader]
    found, expected = read(written_and_read), read(Config.fromfile(LSP).dataset_info)
    for key in ('keypoint_id2name', 'keypoint_name2id'):
        assert list(found[key].items()) == list(expected[key].items())
    assert found['flip_indices'] == [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
    assert set(map(frozenset, found['flip_pairs'])) == set(map(frozenset, expected['flip_pairs']))
    np.testing.assert_array_equal(found['keypoint_colors'], expected['keypoint_colors'])
    for key in ('upper_body_ids', 'lower_body_ids'):
        assert found[key] == expected[key]
    links = [
        {frozenset(link): tuple(color) for link, color in zip(*pair, strict=True)}
        for pair in (
            (info['skeleton_links'], info['skeleton_link_colors']) for info in (found, expected)
        )
    ]
    assert links[0] == links[1]


BASE = 'mmpose.datasets.datasets.base.base_coco_style_dataset'


@pytest.mark.slow
@pytest.mark.parametrize('imports', [f'hsjp_mm, {BASE} as base', f'{BASE} as base, hsjp_mm'])
def test_whichever_is_imported_first(imports):
    code = f'import {imports}; print(base.parse_pose_metainfo.__wrapped__.__name__)'
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == 'parse_pose_metainfo'
