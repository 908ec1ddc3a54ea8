import json
import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets import utils

from hsjp_mm.datasets.metainfo import parse_metainfo
from hsjp_mm.utils.keypoint_numbers import by_number
from tests.helpers import ROOT

LSP = ROOT / 'configs/_base_/datasets/lsp.py'
# another test may have run a command in this process
STOCK = getattr(utils.parse_pose_metainfo, '__wrapped__', utils.parse_pose_metainfo)
FLIPPED = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
COMMAND = """
import json, sys
{first}
from hsjp_mm.cli import report_mistakes
def command():
    from mmengine.config import Config
    from mmpose.datasets import CocoDataset
    info = Config.fromfile(sys.argv[1]).metainfo
    print(json.dumps(CocoDataset(metainfo=info, lazy_init=True).metainfo['flip_indices']))
report_mistakes(command)
report_mistakes(command)
"""


@pytest.fixture
def config(tmp_path):
    """LSP's set of 14 keypoints in a config, as a work folder keeps it."""
    written = Config(dict(metainfo=Config.fromfile(LSP).dataset_info))
    written.dump(tmp_path / 'config.py')
    info = Config.fromfile(tmp_path / 'config.py').metainfo
    assert list(info.keypoint_info)[:4] == [0, 1, 10, 11]  # what MMEngine does to it
    assert STOCK(info)['flip_indices'] != FLIPPED  # and MMPose with that
    return tmp_path / 'config.py'


@pytest.mark.parametrize('read', [by_number(STOCK), parse_metainfo])
def test_a_set_from_a_work_folder_is_the_set_it_was(read, config):
    found, expected = (
        read(Config.fromfile(config).metainfo),
        read(Config.fromfile(LSP).dataset_info),
    )
    for key in ('keypoint_id2name', 'keypoint_name2id'):
        assert list(found[key].items()) == list(expected[key].items())
    assert found['flip_indices'] == FLIPPED
    assert set(map(frozenset, found['flip_pairs'])) == set(map(frozenset, expected['flip_pairs']))
    np.testing.assert_array_equal(found['keypoint_colors'], expected['keypoint_colors'])
    for key in ('upper_body_ids', 'lower_body_ids'):
        assert found[key] == expected[key]
    links = [
        {
            frozenset(link): tuple(color)
            for link, color in zip(
                info['skeleton_links'], info['skeleton_link_colors'], strict=True
            )
        }
        for info in (found, expected)
    ]
    assert links[0] == links[1]


@pytest.mark.slow
@pytest.mark.parametrize('first', ['import hsjp_mm', 'import mmpose.datasets.datasets.base'])
def test_stock_data_sets_of_a_command_go_by_number(first, config):
    code = COMMAND.format(first=first)
    done = subprocess.run(
        [sys.executable, '-c', code, config], check=True, capture_output=True, text=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()[-2:]] == [FLIPPED] * 2
