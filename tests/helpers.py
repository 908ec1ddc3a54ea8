"""Functions and constants that several test files share; fixtures stand in conftest.py."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import Config

from hsjp_mm.models import JigClu, PretextModel
from hsjp_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared/data'
"""Real data beside the checkout; tests that need it are skipped where it is absent."""

PERSON, DOG = 1, 18
IMAGE_SIZES = {1: (120, 80), 2: (70, 100), 3: (96, 64)}  # width, height
# id: (image, category, x, y, width, height)
BOXES = {
    11: (1, PERSON, 10, 5, 40, 60),
    12: (1, PERSON, 60, 10, 50, 65),
    13: (1, PERSON, 0, 0, 120, 80),  # a crowd
    14: (1, PERSON, -10, 30, 60, 80),  # reaches over the image's left and bottom
    15: (2, PERSON, 5, 5, 60, 90),
    16: (2, PERSON, 20, 20, 0.5, 30),  # narrower than a pixel
    17: (2, DOG, 10, 40, 30, 40),
    18: (2, PERSON, 80, 10, 20, 20),  # right of the image
    19: (3, PERSON, 20, 4, 50, 56),
    20: (3, PERSON, 30, 10, 9, 8),
}
CROWD, UNLABELLED, LABELLED = (10, 20, 70, 60), (90, 70, 130, 150), (140, 30, 190, 140)


def tiny_jigclu(
    grid: int = 2,
    input_size: tuple[int, int] = (40, 24),
    alpha: float = 1.0,
    beta: float = 1.0,
    **options,
) -> JigClu:
    """Build JigClu on half of a narrow ResNet-18, with seeded weights and frozen batch norm.

    Patches are 20×12 pixels, so that width and height cannot be mixed up.
    """
    torch.manual_seed(0)
    parts = dict(
        backbone=dict(
            type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
            out_indices=(1,), stem_channels=8, base_channels=8, norm_eval=True,
        ),
        head=dict(type='hsjp_mm.JigCluHead', in_channels=16, dim=8, alpha=alpha, beta=beta),
    )  # fmt: skip
    return JigClu(**{**parts, **options}, grid=grid, input_size=input_size).train()


def tiny_detcon(name: str, input_size: tuple[int, int] = (48, 32), **options) -> PretextModel:
    """Build DetConS or DetConB on half of a narrow ResNet-18, with seeded weights.

    Its map has a cell for 8×8 pixels.
    """
    torch.manual_seed(0)
    head = dict(type=f'hsjp_mm.{name}Head', in_channels=16, hidden_channels=12, out_channels=8)
    model = MODELS.build(
        dict(
            type=f'hsjp_mm.{name}',
            backbone=dict(
                type='ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
                out_indices=(1,), stem_channels=8, base_channels=8,
            ),
            data_preprocessor=dict(type='hsjp_mm.ViewsDataPreprocessor'),
            input_size=input_size,
            **{'segments': dict(method='grid'), 'head': head, **options},
        )
    )  # fmt: skip
    return model.train()


def run_pair(cfg: Config, recorder: str, folder: Path) -> list[Any]:
    """Train in two processes, in a folder.

    Args:
        recorder: A module that registers the hook ``RankRecorder``, which saves
            ``rank_{rank}.pth`` in the work folder.

    Returns:
        What it saved of each.
    """
    (folder / 'rank_recorder.py').write_text(recorder)
    cfg.custom_imports = dict(imports=['rank_recorder'])
    cfg.custom_hooks.append(dict(type='mmengine.RankRecorder'))
    cfg.dump(folder / 'pair.py')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [
            sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2',
            '--master_port', str(port), str(ROOT / 'tools/train.py'), str(folder / 'pair.py'),
            '--launcher', 'pytorch',
        ],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{folder}'},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(Path(cfg.work_dir, f'rank_{rank}.pth')) for rank in range(2)]


def leave_group() -> None:
    """End the process group when all its processes have come here.

    gloo of torch 2.1 may wait for ever where one of them ends while another one still sends.
    """
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def cuts(path: Path) -> Iterator[None]:
    """Cut a file off at one place after another, and make it whole again."""
    whole = path.read_bytes()
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        yield
    path.write_bytes(whole)


def damage_middle(path: str | Path) -> None:
    """Overwrite the bytes in the middle of a file, as a broken disk does."""
    content = bytearray(Path(path).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 512] = np.random.RandomState(0).bytes(512)
    Path(path).write_bytes(content)
