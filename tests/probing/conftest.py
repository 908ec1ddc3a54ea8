"""Made-up data that several tests of this room share."""

import numpy as np
import pytest
from mmengine.config import Config

from tests.probing.colors import COLORS, make_images
from tests.probing.dots import dots_config, random_pose, write_dots


@pytest.fixture
def images(tmp_path) -> str:
    make_images(tmp_path / 'data/train', COLORS, number=20, seed=0)
    make_images(tmp_path / 'data/val', COLORS, number=5, seed=1)
    return str(tmp_path / 'data')


@pytest.fixture
def dots(tmp_path) -> Config:
    """A top-down config of persons that are dots: eight to train on, five to find."""
    rng = np.random.RandomState(0)
    write_dots(tmp_path, 'train', [random_pose(rng) for _ in range(8)])
    write_dots(tmp_path, 'val', [random_pose(rng) for _ in range(5)])
    return dots_config(tmp_path)
