"""Random numbers that belong to an instance: the same on any machine, batch size and process."""

import hashlib

import numpy as np


def instance_random_state(seed: int, instance: int | str) -> np.random.RandomState:
    """Make the random numbers of (seed, instance id).

    RandomState, for NumPy's policy freezes its streams.
    """
    digest = hashlib.sha256(f'{seed}/{instance}'.encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype='<u4'))
