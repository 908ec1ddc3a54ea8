import torch

from hsjp_mm.engine.unwrapping import unwrapped


def test_a_model_in_a_wrapper_and_without():
    model = torch.nn.Linear(1, 1)
    assert unwrapped(torch.nn.DataParallel(model)) is model
    assert unwrapped(model) is model
