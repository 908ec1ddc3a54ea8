"""Run MMPose's own command-line tools on configs that use hsjp_mm."""

import os
import runpy
import sys
from pathlib import Path

import mmpose
import torch

# on the CPU DDP refuses device_ids, which MMEngine otherwise sets, and torch has no SyncBatchNorm
CPU_OPTIONS = (
    'model_wrapper_cfg.type=MMDistributedDataParallel',
    'model_wrapper_cfg.device_ids=None',
    'sync_bn=None',
)


def run_stock_tool(name: str) -> None:
    """Run a script of MMPose's ``tools`` folder in this process, with its own arguments.

    MMPose's script itself rather than a copy, so that its arguments stay MMPose's. What is added
    is that hsjp_mm has been imported (``hsjp_mm::`` bases resolve, MMEngine checkpoints load), and
    that under torchrun without a GPU the processes talk through gloo, which MMEngine's own
    launcher cannot set up; batch norm then has each process's own statistics.

    Raises:
        FileNotFoundError: MMPose was installed without its ``.mim`` folder.
    """
    script = Path(mmpose.__file__).parent / '.mim' / 'tools' / name
    if not script.is_file():
        raise FileNotFoundError(
            f'{script} does not exist: MMPose was installed without its tools; install it from '
            'its wheel (pip install mmpose==1.3.2)'
        )
    if 'RANK' in os.environ and not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')
        sys.argv[1:] = with_cfg_options(sys.argv[1:], CPU_OPTIONS)
    runpy.run_path(str(script), run_name='__main__')


def with_cfg_options(arguments: list[str], options: tuple[str, ...]) -> list[str]:
    """Add options before those that the user gave, which stay the last word."""
    if '--cfg-options' not in arguments:
        return [*arguments, '--cfg-options', *options]
    place = arguments.index('--cfg-options') + 1
    return [*arguments[:place], *options, *arguments[place:]]
