"""The model of a run, without what wraps it in a distributed one."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> Any:
    """Take a model out of its distributed wrapper, if it is in one.

    Hooks read attributes and submodules of the model, which the wrapper hides. MMEngine tells
    whether a model is wrapped, and its runner unwraps it in each place anew.
    """
    return model.module if is_model_wrapper(model) else model
