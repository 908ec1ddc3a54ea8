"""Seconds of labelling, by hand: table 5 of the 3D study."""

import pytest

from hsjp_mm.comparison.labelling_cost import LabellingCost

COST = LabellingCost(
    dict(
        scratch={},
        moco=dict(boxes=150_000),
        pose2d=dict(boxes_and_poses=25_000),
        parts=dict(part_masks=1200, boxes=0),
        both=dict(boxes=100, dense_points=3),
    )
)


def test_the_seconds_of_the_study():
    assert COST.total('moco') == 1_050_000  # 150K × 7 s
    assert COST.total('pose2d') == pytest.approx(1_070_000)  # 25K × 42.8 s
    assert COST.total('scratch') == 0
    assert COST.time('moco') == '1,050,000 (291.7 h)' and COST.time('scratch') == '0'
    assert COST.labels('pose2d') == '25,000 boxes with poses'
    assert COST.labels('scratch') == 'nothing'


def test_what_has_no_seconds_or_is_not_stated_says_so():
    assert COST.total('parts') is None and COST.total('both') is None
    assert COST.labels('parts') == '1,200 masks of parts'
    assert COST.time('parts') == 'no seconds are given for masks of parts'
    assert COST.labels('both') == '100 boxes, 3 dense points'
    assert COST.time('both') == 'no seconds are given for dense points'
    assert COST.total('other') is None
    assert COST.labels('other') == COST.time('other') == 'not stated'


def test_seconds_can_be_given():
    own = LabellingCost(COST.labelling, dict(box=2.5, part_masks=60, dense_points=100))
    assert own.total('moco') == 375_000
    assert own.total('pose2d') == COST.total('pose2d')
    assert own.total('parts') == 72_000
    assert own.total('both') == 550


def test_notes_name_the_seconds_in_use():
    (note,) = COST.notes(['moco', 'pose2d', 'scratch', 'parts', 'both'])
    assert note.startswith(
        'Seconds of labelling for one person: boxes, 7 s; boxes with poses, 42.8 s. They are those '
        'of table 5 of the 3D study. The labels of the fine-tuning are not counted'
    )
    own = LabellingCost(COST.labelling, dict(box=2.5))
    note, missing = own.notes(['moco', 'unknown'])
    assert note.startswith('Seconds of labelling for one person: boxes, 2.5 s. The labels of')
    assert missing == (
        'Labels are also stated for scratch, pose2d, parts, both, of which no run is here.'
    )
    assert own.notes(['scratch'])[0].startswith('The labels of the fine-tuning')


@pytest.mark.parametrize(
    ('labelling', 'seconds', 'message'),
    [
        ({'a': {'poses': 3}}, {}, 'labelling: a: poses must be one of boxes, boxes_and_poses'),
        ({'a': {'boxes': -1}}, {}, 'labelling: a: boxes=-1 must be at least 0'),
        ({}, {'boxes': 7}, 'seconds: boxes must be one of box, box_and_pose'),
        ({}, {'box': -7}, 'seconds: box=-7 must be at least 0'),
    ],
)
def test_bad_arguments(labelling, seconds, message):
    with pytest.raises(ValueError, match=message):
        LabellingCost(labelling, seconds)
