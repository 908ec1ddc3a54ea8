import json

import pytest
from mmengine import Config

from hsjp_mm.models.utils.part_groups import read_part_groups

KEYPOINTS = ['nose', 'left_eye', 'right_eye', 'left_hip']
GROUPS = [['left_hip'], ['right_eye', 'nose', 'left_eye'], ['nose', 'left_hip']]


def written(path, content) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_file_and_a_config_give_the_same_groups(tmp_path):
    content = dict(keypoints=KEYPOINTS, groups=GROUPS, source=dict(poses=3))
    found = read_part_groups(written(tmp_path / 'groups.json', content))
    assert found == read_part_groups(Config(dict(groups=content)).groups)
    assert found.keypoints == tuple(KEYPOINTS)
    assert found.indices == [[3], [2, 0, 1], [0, 3]]


def test_shipped_groups_are_found_from_anywhere_and_own_ones_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'configs/pbn/part_groups/mpii_5.json'
    found = read_part_groups(name)
    assert len(found.keypoints) == 16 and len(found.groups) == 5
    written(tmp_path / name, dict(keypoints=KEYPOINTS, groups=GROUPS))
    assert read_part_groups(name).keypoints == tuple(KEYPOINTS)


@pytest.mark.parametrize(
    ('keypoints', 'groups', 'message'),
    [
        (KEYPOINTS, [*GROUPS, ['left_hip', 'tail']], "group 3 names the unknown keypoint 'tail'"),
        (KEYPOINTS, GROUPS[1:2], 'in no group: left_hip'),
        (KEYPOINTS, [], 'in no group: nose, left_eye, right_eye, left_hip'),
        (KEYPOINTS, [*GROUPS, []], r'group 3 must be a list of one or more names, got \[\]'),
        (KEYPOINTS, [*GROUPS, 'nose'], "group 3 must be a list of one or more names, got 'nose'"),
        (KEYPOINTS, [*GROUPS, ['nose', 'nose']], "group 3 names 'nose' more than once"),
        (KEYPOINTS, {'face': KEYPOINTS}, 'groups must be a list of lists, got {'),
        ([*KEYPOINTS, 'nose'], GROUPS, "keypoints names 'nose' more than once"),
        ([0, 1], [[0, 1]], r'keypoints must be a list of one or more names, got \[0, 1\]'),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, keypoints, groups, message):
    content = dict(keypoints=keypoints, groups=groups)
    with pytest.raises(ValueError, match=f'^part_groups: {message}'):
        read_part_groups(content)
    with pytest.raises(ValueError, match=rf"^part_groups='.*groups\.json': {message}"):
        read_part_groups(written(tmp_path / 'groups.json', content))


def test_other_files_and_values_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"part_groups='.*none\.json' is not a file"):
        read_part_groups(str(tmp_path / 'none.json'))
    with pytest.raises(ValueError, match=r"part_groups='.*x\.json' is no JSON: Expecting"):
        read_part_groups(written(tmp_path / 'x.json', '{"keypoints": '))
    with pytest.raises(ValueError, match="must have the keys 'keypoints' and 'groups', got 5"):
        read_part_groups(written(tmp_path / 'x.json', '5'))
    with pytest.raises(ValueError, match="must have the keys 'keypoints' and 'groups', got None"):
        read_part_groups(None)
    with pytest.raises(
        ValueError, match=r"must have the keys 'keypoints' and 'groups', got \{'key"
    ):
        read_part_groups(dict(keypoints=KEYPOINTS))
