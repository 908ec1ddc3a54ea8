"""Keypoint sets, read as MMPose reads them."""

import subprocess
import sys

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from hsjp_mm.datasets import LSPDataset
from hsjp_mm.datasets.metainfo import joint_set_metainfo, parse_metainfo
from hsjp_mm.ops.keypoint_orders import joint_names, mirror_indices

STOCK = {'from_file': 'configs/_base_/datasets/coco.py'}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize('metainfo', [STOCK, LSPDataset.METAINFO])
def test_it_is_mmposes_own(metainfo):
    assert same(parse_metainfo(metainfo), parse_pose_metainfo(metainfo))


def test_a_set_itself_is_taken():
    metainfo = dict(
        dataset_name='two',
        keypoint_info={0: dict(name='nose'), 1: dict(name='tail')},
        skeleton_info={0: dict(link=('nose', 'tail'))},
        joint_weights=[1, 1],
        sigmas=[0.1, 0.2],
    )
    assert parse_metainfo(metainfo)['skeleton_links'] == [(0, 1)]


def test_what_is_no_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metainfo='no\.py' does not exist"):
        parse_metainfo({'from_file': 'no.py'})
    for text in ('a = 1', "dataset_info = dict(dataset_name='x')", 'a = ('):
        (tmp_path / 'x.py').write_text(text)
        with pytest.raises(ValueError, match=r"x\.py' is no file of a keypoint set"):
            parse_metainfo({'from_file': str(tmp_path / 'x.py')})


def test_no_torch_is_imported():
    code = 'import sys; from hsjp_mm.datasets.metainfo import parse_metainfo; '
    code += f"parse_metainfo({STOCK}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True)


def test_a_joint_set_as_mmpose_knows_one():
    metainfo = joint_set_metainfo('mesh_22')
    names = joint_names('mesh_22')
    assert [metainfo['keypoint_id2name'][i] for i in range(22)] == list(names)
    assert metainfo['flip_indices'] == mirror_indices(names)
    links = [tuple(names[i] for i in link) for link in metainfo['skeleton_links']]
    assert len(links) == len(set(links)) == len(metainfo['skeleton_link_colors'])
    assert ('left_hip', 'left_knee') in links
    assert ('pelvis', 'right_hip') in links
    assert ('nose', 'left_eye') in links
    assert {name for link in links for name in link} == set(names)
    assert names.index('left_knee') in metainfo['lower_body_ids']
    assert names.index('jaw') in metainfo['upper_body_ids']
