import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from hsjp_mm.engine import BFloat16OptimWrapper
from hsjp_mm.registry import OPTIM_WRAPPERS
from tests.helpers import ROOT


class TinyModel(torch.nn.Module):
    """One product, whose precision is seen in its result."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[1.0], [2.0**-10]]))

    def forward(self):
        self.product = torch.ones(1, 2) @ self.weight
        return self.product.float().sum()


def wrap(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return BFloat16OptimWrapper(optimizer=optimizer, **kwargs)


def test_products_are_of_bfloat16_and_weights_are_not():
    model = TinyModel()
    wrapper = wrap(model)
    with wrapper.optim_context(model):
        loss = model()
    # 1 + 2**-10 has no bfloat16: the next above 1 is 1 + 2**-7
    assert model.product.dtype == torch.bfloat16 and loss.item() == 1.0
    wrapper.update_params(loss)
    assert model.weight.dtype == torch.float32
    assert model.weight.tolist() == [[0.0], [2.0**-10 - 1]]
    assert model().item() == 2.0**-10 - 1  # outside the context in single precision


def test_gradients_of_several_steps_add_up_as_without_it():
    model = TinyModel()
    wrapper = wrap(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for expected in (1.0, 0.0):  # nothing changes before the second
        with wrapper.optim_context(model):
            loss = model()
        wrapper.update_params(loss)
        assert model.weight[0].item() == expected


@pytest.mark.parametrize(('method', 'height', 'width'), [('hsjp', 96, 96), ('jigclu', 192, 48)])
def test_a_training_step_is_near_that_in_single_precision(method, height, width):
    config = Config.fromfile(ROOT / f'configs/demo/{method}_hrnet-tiny_1xb32-1000i_toy-96x96.py')
    losses = []
    for kind in ('OptimWrapper', 'hsjp_mm.BFloat16OptimWrapper'):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        wrapper = OPTIM_WRAPPERS.build(dict(type=kind, optimizer=optimizer))
        torch.manual_seed(1)
        with wrapper.optim_context(model):
            loss, _ = model.parse_losses(model.loss(torch.randn(4, 3, height, width)))
        wrapper.update_params(loss)
        assert loss.dtype == torch.float32
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
        losses.append(loss.item())
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
