"""Devices that a user names."""

import torch


def require_device(device: str) -> None:
    """Refuse a device that torch does not have, or that holds no numbers.

    Raises:
        ValueError: such a device.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'device={device!r} cannot be used: {reason}') from error
