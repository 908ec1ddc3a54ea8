"""Run MMPose's own command-line tools on configs that use hsjp_mm."""

import argparse
import ast
import importlib.util
import os
import sys
from pathlib import Path

from hsjp_mm.engine.data_files import require_annotations
from hsjp_mm.utils.configs import (
    config_file,
    parse_options,
    read_config,
    stock_options_with_spaces,
)
from hsjp_mm.utils.files import checkpoint_file
from hsjp_mm.utils.schedules import warn_of_schedules
from hsjp_mm.utils.scripts import run_script
from hsjp_mm.utils.unread_names import warn_of_unread_names

# on the CPU DDP refuses device_ids, which MMEngine otherwise sets, and torch has no SyncBatchNorm
CPU_OPTIONS = (
    'model_wrapper_cfg.type=MMDistributedDataParallel',
    'model_wrapper_cfg.device_ids=None',
    'sync_bn=None',
)
LOG_OPTIONS = ('default_hooks.steady_log.type=hsjp_mm.SteadyLogHook',)
"""Beside the logger of the config, which is left as it is."""


def run_stock_tool(name: str) -> None:
    """Run a script of MMPose's ``tools`` folder in this process, with its own arguments.

    MMPose's script itself rather than a copy, so that its arguments stay MMPose's. What is added
    is that mistakes in them are told before the long imports, that options keep the spaces in
    their values, and that a config may be ``CODEBASE::PATH``; that hsjp_mm has been imported
    (``hsjp_mm::`` bases resolve, MMEngine checkpoints load); that training says something every
    half minute; that names which a config sets in vain are a warning, and schedules that do not go
    with the length of the training; that data sets and model of
    other keypoints than each other are an error; and that under torchrun without a GPU the
    processes talk through gloo, which MMEngine's own launcher cannot set up; batch norm then has
    each process's own statistics.

    Raises:
        FileNotFoundError: MMPose was installed without its ``.mim`` folder; no such config,
            checkpoint or annotation file.
        ValueError: a config that cannot be read, keypoints that differ, or a launcher that does not
            go with how the process was started.
    """
    script = stock_script(name)
    args = read_arguments(script)
    _require_launcher(args.launcher)
    path = str(config_file(args.config))
    sys.argv[sys.argv.index(args.config, 1)] = path
    # read here too, for the script would end in a traceback
    options = parse_options(args.cfg_options or ())
    config = read_config(path, options)
    if os.environ.get('RANK', '0') == '0':
        warn_of_unread_names(path, config, options)
        if name == 'train.py':
            warn_of_schedules(config)
    splits: tuple[str, ...] = ('test',) if name == 'test.py' else ('train', 'val')
    if getattr(args, 'no_validate', False):
        splits = ('train',)
    if getattr(args, 'checkpoint', None):
        checkpoint_file(args.checkpoint)
    require_annotations(config, splits)
    # here, for it imports torch, which --help and mistaken arguments do not wait for
    from hsjp_mm.engine.keypoint_sets import check_keypoints

    check_keypoints(config, splits)
    sys.argv[1:] = with_cfg_options(sys.argv[1:], LOG_OPTIONS)
    if 'RANK' in os.environ:
        import torch

        if not torch.cuda.is_available():
            torch.distributed.init_process_group('gloo')
            sys.argv[1:] = with_cfg_options(sys.argv[1:], CPU_OPTIONS)
    with stock_options_with_spaces():
        run_script(script)


def _require_launcher(launcher: str) -> None:
    """Refuse several processes that would each train a model of its own on a part of the data."""
    processes = int(os.environ.get('WORLD_SIZE', '1')) if 'RANK' in os.environ else 1
    if processes > 1 and launcher == 'none':
        raise ValueError(
            f'--launcher=none, but torchrun has started {processes} processes, each of which would '
            'work by itself on a part of the data: give --launcher pytorch'
        )
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise ValueError(
            '--launcher=pytorch needs torchrun, which starts the processes: write '
            'torchrun --nproc_per_node NUMBER before the tool'
        )


def stock_script(name: str) -> Path:
    """Find a script of MMPose's, without importing MMPose.

    Raises:
        FileNotFoundError: MMPose is not installed, or without its ``.mim`` folder.
    """
    package = importlib.util.find_spec('mmpose')
    folders = (package and package.submodule_search_locations) or ['mmpose']
    script = Path(folders[0], '.mim/tools', name)
    if not script.is_file():
        raise FileNotFoundError(
            f'{script} does not exist: MMPose was installed without its tools; install it from '
            'its wheel (pip install mmpose==1.3.2)'
        )
    return script


def read_arguments(script: Path) -> argparse.Namespace:
    """Let a script of MMPose's read ``sys.argv``, without its imports, which take seconds.

    Its function ``parse_args`` is run alone, with the standard library and a stand-in for
    DictAction, which keeps the pairs as they are.
    """
    tree = ast.parse(script.read_text(encoding='utf-8'))
    wanted: list[ast.stmt] = [
        node
        for node in tree.body
        if (isinstance(node, ast.Import) and node.names[0].name in ('argparse', 'os', 'os.path'))
        or (isinstance(node, ast.FunctionDef) and node.name == 'parse_args')
    ]
    names = {'DictAction': _Pairs}
    code = compile(ast.Module(wanted, type_ignores=[]), str(script), 'exec')
    exec(code, names)
    return names['parse_args']()  # type: ignore[call-arg, return-value]


class _Pairs(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        for text in values:
            if not text.partition('=')[0] or '=' not in text:
                parser.error(f'argument {option_string}: {text!r} must be KEY=VALUE')
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *values])


def with_cfg_options(arguments: list[str], options: tuple[str, ...]) -> list[str]:
    """Add options before those that the user gave, which stay the last word."""
    if '--cfg-options' not in arguments:
        return [*arguments, '--cfg-options', *options]
    place = arguments.index('--cfg-options') + 1
    return [*arguments[:place], *options, *arguments[place:]]
