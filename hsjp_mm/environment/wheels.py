"""For which environments there is a ready-made wheel of MMCV.

Imports the standard library only.
"""

from __future__ import annotations

from . import requirements

AS_OF = '2026-11-28'
"""When the table was last held against the one in MMCV's documentation."""
MMCV = '2.1.0'
PLATFORM = 'linux x86_64'
PYTHON = '>=3.8,<3.12'
WHEELS = {'2.1': ('cpu', '11.8', '12.1')}
"""CUDA versions by release of torch, without those of torch that hsjp_mm refuses. A wheel made for
torch 2.1.0 fits 2.1.1 and 2.1.2 too."""


def has_wheel(mmcv: str, machine: str, python: str, torch: str, cuda: str) -> bool:
    """Tell whether `mim install` finds a wheel, so that nothing is compiled.

    Args:
        mmcv: The version of MMCV that is wanted.
        machine: System and processor, such as 'linux x86_64'.
        python: Version of Python.
        torch: Version of torch.
        cuda: What torch is built for, such as '12.1'; 'cpu' without CUDA.
    """
    release = '.'.join(str(number) for number in (*requirements.release(torch), 0)[:2])
    return (
        mmcv == MMCV
        and machine == PLATFORM
        and requirements.satisfies(python, PYTHON)
        and cuda in WHEELS.get(release, ())
    )


def describe() -> str:
    """The table in one sentence."""
    rows = [
        f'torch {torch} ({", ".join("CPU" if cuda == "cpu" else f"CUDA {cuda}" for cuda in cudas)})'
        for torch, cudas in WHEELS.items()
    ]
    return (
        f'Ready-made wheels of mmcv {MMCV} are for Python 3.8 to 3.11 on Linux x86-64 with '
        f'{"; ".join(rows)}, as of {AS_OF}.'
    )
