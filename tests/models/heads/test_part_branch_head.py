import pytest
import torch
from mmengine.hub import get_config
from mmengine.structures import InstanceData, PixelData
from mmpose.codecs import MSRAHeatmap
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from hsjp_mm.models import PartBranchHead

STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_'
COCO = list(parse_pose_metainfo(CocoDataset.METAINFO)['keypoint_name2id'])
GROUPS = dict(keypoints=COCO, groups=[COCO[:5], COCO[5:7] + COCO[11:13], COCO[7:11], COCO[13:]])
SMALL = dict(keypoints=list('abcd'), groups=[['d', 'b'], ['a', 'c']])


def head(part_groups: dict = SMALL, **options) -> PartBranchHead:
    torch.manual_seed(0)
    made = PartBranchHead(6, 4, part_groups, **{'deconv_out_channels': None, **options})
    made.init_weights()
    return made


def samples(heatmaps: torch.Tensor) -> list[PoseDataSample]:
    made = []
    for maps in heatmaps:
        made.append(PoseDataSample(gt_fields=PixelData(heatmaps=maps)))
        weights = torch.ones(1, len(maps))
        made[-1].gt_instance_labels = InstanceData(keypoint_weights=weights)
    return made


@pytest.mark.parametrize(
    ('name', 'channels'),
    [('hrnet-w32_8xb64-210e_coco-256x192', 32), ('res50_8xb64-210e_coco-256x192', 256)],
)
@pytest.mark.slow
def test_takes_the_place_of_the_head_of_a_stock_config(name, channels):
    cfg = get_config(f'{STOCK}{name}.py').model
    cfg.backbone.init_cfg = None
    stock = MODELS.build(cfg).head.state_dict()
    cfg.head.update(type='hsjp_mm.PartBranchHead', part_groups=GROUPS)
    model = MODELS.build(cfg)
    with torch.no_grad():
        model.eval()
        maps = model.head(model.extract_feat(torch.randn(1, 3, 256, 192)))
    assert maps.shape == (1, 17, 64, 48)
    assert [branch[0][0].in_channels for branch in model.head.final_layer.specific] == 4 * [
        channels
    ]
    # the deconvolutions are the stock ones
    ours = model.head.state_dict()
    shared = {n: t.shape for n, t in ours.items() if not n.startswith('final_layer.')}
    assert shared == {n: t.shape for n, t in stock.items() if not n.startswith('final_layer.')}


def test_a_map_moves_its_own_branch_alone():
    model = head()
    feats = torch.randn(2, 6, 8, 8, requires_grad=True)
    (model((feats,))[:, 1] * torch.randn(2, 8, 8)).sum().backward()
    own, other = model.final_layer.specific
    assert all(p.grad is not None and p.grad.any() for p in own.parameters())
    assert not any(p.grad is not None and p.grad.any() for p in other.parameters())
    assert feats.grad.any()


@pytest.mark.slow
def test_learns_maps_by_heart_from_the_stock_initial_weights():
    codec = MSRAHeatmap(input_size=(32, 48), heatmap_size=(8, 12), sigma=1)
    model = head(
        decoder=dict(type='MSRAHeatmap', input_size=(32, 48), heatmap_size=(8, 12), sigma=1)
    )
    places = torch.tensor(
        [[[4.0, 8], [20, 40], [28, 16], [12, 24]], [[8, 40], [4, 4], [16, 16], [24, 32]]]
    )
    maps = torch.stack(
        [torch.from_numpy(codec.encode(p[None].numpy())['heatmaps']) for p in places]
    )
    feats = (torch.randn(2, 6, 12, 8) + 3 * torch.cat([maps, maps[:, :2]], dim=1),)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = model.loss(feats, samples(maps))['loss_kpt'].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = model.loss(feats, samples(maps))['loss_kpt']
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first
    found = model(feats).flatten(2).argmax(dim=2)
    assert torch.equal(4 * torch.stack([found % 8, found // 8], dim=2), places.long())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(part_groups=GROUPS), 'out_channels=4, but part_groups are of 17 keypoints: nose, '),
        (dict(part_groups=dict(SMALL, groups=[['a', 'b', 'd']])), 'in no group: c'),
        (dict(part_groups=dict(SMALL, groups=[['tail']])), "names the unknown keypoint 'tail'"),
        (dict(final_layer=dict(kernel_size=3)), "final_layer={'kernel_size': 3}: the branches"),
        (dict(width=5), 'width=5 must be an even number'),
        (dict(depth=-2), 'depth=-2 must be 0 or more'),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        head(**options)
