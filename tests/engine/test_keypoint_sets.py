"""Data sets and models of different keypoints are told before training."""

import pytest
from mmengine.config import Config

from hsjp_mm.engine.keypoint_sets import check_keypoints
from hsjp_mm.registry import TRANSFORMS
from tests.test_configs import DENSE_POSE, HIGHERHRNET, PBN, TOPDOWN, read

LIMBS = ('head', 'hand', 'foot')
COCO = dict(from_file='configs/_base_/datasets/coco.py')
ORDER = dict(decode_keypoint_order=[2, 0, 1])


@TRANSFORMS.register_module(force=True)
class OfSomeoneElse:
    """Which may do anything to the keypoints."""


def keypoint_set(*names: str) -> dict:
    return dict(
        dataset_name='mine',
        keypoint_info={i: dict(name=name, id=i) for i, name in enumerate(names)},
        skeleton_info={},
        joint_weights=[1.0] * len(names),
        sigmas=[0.1] * len(names),
    )


def config(head: dict, metainfo: dict, backbone: dict | None = None, **changes) -> Config:
    dataset = dict(type='CocoDataset', metainfo=metainfo, pipeline=[dict(type='LoadImage')])
    loader = dict(dataset=dataset)
    return Config(
        {
            'model': dict(backbone=backbone or dict(type='ResNet'), head=head),
            'train_dataloader': loader,
            'val_dataloader': loader,
            **changes,
        }
    )


def groups(*names: str) -> dict:
    return dict(part_groups=dict(keypoints=list(names), groups=[list(names)]))


BOTTOM_UP = dict(type='hsjp_mm.HigherHRNetHead', decoder=ORDER)
HEAT_MAPS = dict(type='HeatmapHead', out_channels=3, decoder=dict(type='MSRAHeatmap'))
BRANCHES = dict(type='hsjp_mm.PartBranchHourglass', **groups(*LIMBS))


@pytest.mark.parametrize(
    ('head', 'backbone', 'key'),
    [
        (BOTTOM_UP, None, 'head.decoder.decode_keypoint_order has 3'),
        (dict(BOTTOM_UP, num_keypoints=3), None, 'head.num_keypoints has 3'),
        (dict(type='CPMHead', out_channels=16), BRANCHES,
         r'backbone.part_groups has 3 keypoints \(head, hand, foot\)'),
        (dict(type='CPMHead'), dict(type='hsjp_mm.PartBranchHourglass', num_keypoints=3),
         'backbone.num_keypoints has 3'),
        (dict(type='hsjp_mm.PartBranchHead', **groups(*LIMBS)), None, 'head.part_groups has 3'),
        (HEAT_MAPS, None, 'head.out_channels has 3'),
    ],
)  # fmt: skip
def test_another_number_is_an_error_that_names_both_places(head, backbone, key):
    check_keypoints(config(head, keypoint_set(*LIMBS), backbone), ('train', 'val'))
    wrong = config(head, COCO, backbone)
    for split in ('train', 'val'):
        expected = rf'{split}_dataloader\.dataset\.metainfo has 17 keypoints \(nose, .*model\.{key}'
        with pytest.raises(ValueError, match=expected):
            check_keypoints(wrong, (split,))
    check_keypoints(wrong, ('test',))  # which it has not


def test_without_metainfo_the_data_sets_own_count():
    cfg = config(BOTTOM_UP, keypoint_set(*LIMBS))
    del cfg.train_dataloader.dataset.metainfo
    with pytest.raises(ValueError, match=r'metainfo has 17 keypoints \(nose'):
        check_keypoints(cfg, ('train',))


def test_the_same_names_in_another_order_are_an_error_and_other_names_a_warning(log_file):
    head = dict(type='CPMHead')
    with pytest.raises(ValueError, match=r'in names or order: .*\(hand, head, foot\), but'):
        check_keypoints(config(head, keypoint_set('hand', 'head', 'foot'), BRANCHES), ('train',))
    assert 'differ' not in log_file.read_text()
    check_keypoints(config(head, keypoint_set('Kopf', 'Hand', 'Fuss'), BRANCHES), ('train',))
    assert '(Kopf, Hand, Fuss), but model.backbone.part_groups' in log_file.read_text()


def test_parts_from_elsewhere_may_do_anything_so_there_it_is_a_warning(log_file):
    cfg = config(BOTTOM_UP, COCO)
    cfg.train_dataloader.dataset.pipeline.append(dict(type='hsjp_mm.OfSomeoneElse'))
    check_keypoints(cfg, ('train',))
    assert 'metainfo has 17 keypoints' in log_file.read_text()


@pytest.mark.parametrize(
    'head',
    [
        dict(type='HeatmapHead', out_channels=51,
             decoder=dict(type='UDPHeatmap', heatmap_type='combined')),
        dict(type='HeatmapHead', out_channels=17, decoder=dict(type='MSRAHeatmap')),
        dict(type='hsjp_mm.HSJPHead', out_channels=36),
    ],
)  # fmt: skip
def test_what_fits_or_is_not_known_is_let_through(head):
    check_keypoints(config(head, COCO), ('train', 'val'))


def test_data_sets_inside_others_and_converters_are_seen():
    coco = dict(type='CocoDataset')
    to_three = dict(type='KeypointConverter', num_keypoints=3, mapping=[(0, 0), (9, 1), (15, 2)])
    wrapped = config(BOTTOM_UP, keypoint_set(*LIMBS))
    wrapped.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(type='ConcatDataset', datasets=[coco])
    )
    place = r'dataset\.dataset\.datasets\.metainfo has 17'
    with pytest.raises(ValueError, match=place):
        check_keypoints(wrapped, ('train',))
    wrapped.train_dataloader.dataset.dataset.datasets[0].pipeline = [to_three]
    check_keypoints(wrapped, ('train',))
    combined = dict(type='CombinedDataset', metainfo=keypoint_set(*LIMBS), datasets=[coco])
    wrapped.train_dataloader.dataset = combined
    check_keypoints(wrapped, ('train',))


def test_a_validation_of_some_keypoints_or_converted_ones_is_let_through():
    cfg = config(HEAT_MAPS, keypoint_set(*LIMBS))
    cfg.val_dataloader = dict(
        dataset=dict(type='CocoDataset', metainfo=keypoint_set('head', 'hand'), pipeline=[])
    )
    with pytest.raises(ValueError, match=r'val_dataloader.* 2 keypoints'):
        check_keypoints(cfg, ('val',))
    cfg.model.test_cfg = dict(output_keypoint_indices=[0, 1])
    check_keypoints(cfg, ('train', 'val'))
    cfg.model.test_cfg = None
    cfg.val_evaluator = [dict(type='CocoMetric', gt_converter=dict(num_keypoints=2))]
    check_keypoints(cfg, ('val',))


@pytest.mark.slow
def test_all_configs_pass(log_file):
    for path in TOPDOWN + HIGHERHRNET + PBN + DENSE_POSE:
        check_keypoints(read(path), ('train', 'val', 'test'))
    assert 'keypoints of data set and model' not in log_file.read_text()
