import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from hsjp_mm.models import HMR2Head, HMRHead, PAREHead
from hsjp_mm.ops.rotations import matrix_to_rotation6d


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


HEADS = {
    'hmr': lambda **options: HMRHead(32, hidden_channels=24, **options),
    'pare': lambda **options: PAREHead(
        32, thin_channels=4, deconv_out_channels=(8,), deconv_kernel_sizes=(4,), **options
    ),
    'hmr2': lambda **options: HMR2Head(
        32, dim=24, num_layers=2, num_heads=2, feedforward_channels=32, **options
    ),
}
every_head = pytest.mark.parametrize('name', list(HEADS))


@every_head
@pytest.mark.parametrize('size', [(7, 7), (8, 6)])
def test_predictions_are_rotations_a_shape_and_a_camera(name, size):
    torch.manual_seed(0)
    head = HEADS[name](num_shape=5).eval()
    found = head([torch.randn(3, 16, 9, 9), torch.randn(3, 32, *size)])
    assert found.rotations.shape == (3, 24, 3, 3)
    assert found.shape.shape == (3, 5)
    assert found.weak.shape == (3, 3)
    identity = torch.eye(3).expand_as(found.rotations)
    torch.testing.assert_close(found.rotations @ found.rotations.mT, identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.rotations.det(), torch.ones(3, 24), atol=1e-5, rtol=0)


@every_head
def test_begins_near_the_upright_mean_body_before_the_camera(name):
    """The first rotation is diag(1, −1, −1), all others the identity, s is 0.9."""
    torch.manual_seed(0)
    head = HEADS[name]().eval()
    found = head([torch.randn(4, 32, 6, 6).relu()])
    expected = torch.eye(3).repeat(24, 1, 1)
    expected[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert (found.rotations - expected).abs().max() < 0.2
    assert found.shape.abs().max() < 0.2
    assert (found.weak - torch.tensor([0.9, 0, 0])).abs().max() < 0.1
    six = matrix_to_rotation6d(expected).flatten()
    torch.testing.assert_close(head.mean_pose[0], six)
    assert six[:6].tolist() == [1, 0, 0, -1, 0, 0]
    assert six[6:12].tolist() == [1, 0, 0, 1, 0, 0]


@every_head
def test_mean_parameters_are_not_in_the_checkpoint(name):
    assert not [
        key for key in HEADS[name]().state_dict() if 'mean_' in key and 'running' not in key
    ]


@every_head
def test_box_info_changes_what_is_predicted(name):
    torch.manual_seed(0)
    feats = [torch.randn(2, 32, 6, 6)]
    head = HEADS[name](box_info=True).eval()
    one, other = (head(feats, torch.full((2, 3), value)) for value in (0.0, 1.0))
    for key in ('rotations', 'shape', 'weak'):
        assert not torch.equal(getattr(one, key), getattr(other, key)), key
    with pytest.raises(ValueError, match='Head has box_info=True, and none is given'):
        head(feats)
    plain = HEADS[name]().eval()
    for key in ('rotations', 'shape', 'weak'):
        with_box, without = (getattr(plain(feats, box), key) for box in (torch.ones(2, 3), None))
        assert torch.equal(with_box, without)


@every_head
def test_every_parameter_is_trained(name):
    torch.manual_seed(0)
    head = HEADS[name](box_info=True).train()
    found = head([torch.randn(2, 32, 6, 6)], torch.randn(2, 3))
    weights = torch.randn_like(found.rotations)
    (found.rotations * weights).sum().add(found.shape.sum()).add(found.weak.sum()).backward()
    untrained = [key for key, value in head.named_parameters() if value.grad is None]
    assert untrained == []
    still = [key for key, value in head.named_parameters() if not value.grad.abs().sum() > 0]
    # a shift of all scores of a part is no change of its attention
    assert still in ([], ['part_branch.final_layer.bias'])


@every_head
def test_half_precision_goes_in_and_single_comes_out(name):
    head = HEADS[name]().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = head([torch.randn(2, 32, 6, 6)])
    assert all(values.dtype == torch.float32 for values in found[:4] if values is not None)
    assert torch.isfinite(found.rotations).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('head', 'own', 'whole'),
    [
        # 2205·1024 + 1024 + 1024² + 1024 + 1024·(144 + 10 + 3) + 157
        (dict(type='hsjp_mm.HMRHead'), 3_469_469, 26_977_501),
        # two times (2048 + 2·256)·256·16 + 3·512; 256·25 + 25; 256·64 + 64; 24·256·6;
        # 1536·(10 + 3) + 13
        (dict(type='hsjp_mm.PAREHead'), 21_054_310, 44_562_342),
        # CLIFF: three more numbers go into the first layer
        (dict(type='hsjp_mm.HMRHead', box_info=True), 3_469_469 + 3 * 1024, None),
        # three more for each joint's rotation, for shape and for camera
        (dict(type='hsjp_mm.PAREHead', box_info=True), 21_054_310 + 24 * 3 * 6 + 3 * 13, None),
    ],
)
def test_parameters_with_resnet_50(head, own, whole):
    with torch.device('meta'):
        built = MODELS.build(dict(head, in_channels=2048))
        trunk = MODELS.build(dict(type='mmpose.ResNet', depth=50))
    assert count(built) == own
    assert count(trunk) == 23_508_032
    if whole is not None:
        assert count(built) + count(trunk) == whole
