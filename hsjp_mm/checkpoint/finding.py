"""Which tensors of a checkpoint are meant for a model. No files here.

Words: a *network* is a dictionary from name to tensor inside a checkpoint; its *path* is the keys
that lead to it, joined by dots (``'state_dict'`` adds nothing: it is where MMEngine keeps the
model). A *prefix* is that path and the start of the tensors' names, e.g. ``'backbone.'`` or
``'module.encoder_q.'`` or ``'teacher.backbone.'``. C is output channels, k the kernel side.
"""

import re
from collections import Counter

from torch import Tensor

from hsjp_mm.checkpoint.tensors import (
    COUNTER,
    REAL,
    WHOLE,
    CheckpointError,
    State,
    Tensors,
    kind,
    shape_of,
    shorten,
)

# Words in the names of a moving average of the trained network; a word may go on (`averaged`).
AVERAGE = re.compile(
    r'(model|net)?ema(model|net)?$|(avg|ewma|key|swa)$|'
    'averag|momentum|moving|polyak|shadow|target|teacher'
)
# Words in the names of the network that is trained, where the average has the plain name.
TRAINED = re.compile(r'(anchor|online|query|student)$')
# Tensors that torch's AveragedModel and MMEngine's averages keep beside their copy, `module.`.
AVERAGE_COUNTERS = ('n_averaged', 'steps')


def networks_of(
    state: State, path: str = '', above: tuple[int, ...] = ()
) -> dict[str, dict[str, Tensor]]:
    """All networks of a checkpoint by path, in the order of the file.

    Args:
        state: A checkpoint.
        path: Of ``state`` itself.
        above: The ids of the dictionaries that lead to it.

    Raises:
        CheckpointError: Two tensors have one path and name, or a dictionary contains itself or is
            nested more than 20 deep.
    """
    if id(state) in above or len(above) > 20:
        raise CheckpointError(f'the dictionary {path[:80]!r} contains itself or is nested too deep')
    found: dict[str, dict[str, Tensor]] = {}

    def add(group: str, name: str, tensor: Tensor) -> None:
        if found.setdefault(group, {}).setdefault(name, tensor) is not tensor:
            raise CheckpointError(f'two tensors of the file are called {group + name!r}')

    for key, value in state.items():
        if isinstance(value, Tensor):
            add(path, str(key), value)
        elif isinstance(value, dict):
            inner = path if key == 'state_dict' else f'{path}{key}.'
            for group, tensors in networks_of(value, inner, (*above, id(state))).items():
                for name, tensor in tensors.items():
                    add(group, name, tensor)
    return found


def under(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def dotted(prefix: str) -> str:
    """A prefix with the dot that MMEngine lets users leave out."""
    return prefix + '.' if prefix and not prefix.endswith('.') else prefix


def find_backbone(
    state: State, expected: Tensors, prefix: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """The first of :func:`find_backbones`: its tensors, and the prefix they stood under."""
    prefix, tensors = next(iter(find_backbones(state, expected, prefix).items()))
    return tensors, prefix


def find_backbones(
    state: State, expected: Tensors, prefix: str | None = None
) -> dict[str, dict[str, Tensor]]:
    """What of a checkpoint may be meant for a model: tensors by prefix, the likeliest first.

    No list of known prefixes: what stands before a name of the model in a name of the file is a
    candidate. It has a vote for each name of the model and another where the shape is equal;
    ``num_batches_tracked``, which old files lack, has none. Those with more than half of the best
    one's votes are returned: a network that says it is the trained one (``online``, ``student``,
    ``encoder_q``) before one that says nothing, and both before a moving average of it (``ema``,
    ``swa``, ``teacher``, ``encoder_k``, or with the counter of torch's AveragedModel), whatever
    their votes; then by votes, then in the order of the file.

    Args:
        state: A checkpoint, see :func:`hsjp_mm.checkpoint.read_checkpoint`.
        expected: The model's state dict.
        prefix: Take this one alone.

    Raises:
        CheckpointError: No name of the model under any prefix, or under the given one; see also
            :func:`networks_of`.
    """
    networks = networks_of(state)
    votes: Counter[tuple[str, str]] = Counter()
    for path, tensors in networks.items():
        for name, tensor in tensors.items():
            parts = name.split('.')
            for i in range(len(parts)):
                target = expected.get('.'.join(parts[i:]))
                if target is not None and parts[-1] != COUNTER:
                    start = ''.join(f'{part}.' for part in parts[:i])
                    votes[path, start] += 1 + (shape_of(tensor) == shape_of(target))
    if not votes:
        names = [path + name for path, tensors in networks.items() for name in tensors]
        raise CheckpointError(
            'another architecture: under no prefix does the file hold a name of the model. '
            f'File: {shorten(names, 4) or "no tensors"}. Model: {shorten(list(expected), 4)}'
        )
    if prefix is None:
        candidates = [c for c in votes if 2 * votes[c] > max(votes.values())]
    else:
        candidates = [c for c in votes if ''.join(c) == dotted(prefix)]
        if not candidates:
            best = [repr(''.join(c)) for c, _ in votes.most_common(4)]
            raise CheckpointError(
                f'wrong prefix: no name of the model stands under {prefix!r}; some do under '
                f'{", ".join(best)} (the best first). Leave prefix out to have it found'
            )
    plain = {path + start for path, start in candidates}
    candidates.sort(key=lambda c: (_averaging(networks[c[0]], c, plain), -votes[c]))
    return {path + start: under(networks[path], start) for path, start in candidates}


def _averaging(tensors: Tensors, candidate: tuple[str, str], candidates: set[str]) -> int:
    """-1 if a candidate of these tensors says that it is trained, 1 for an average, else 0."""
    path, start = candidate
    # vision_encoder_m is the copy of a vision_encoder, where there is one
    without = re.sub(r'_m(?=\.|$)', '', path + start)
    if without != path + start and without in candidates:
        return 1
    for copy in re.finditer(r'(?:^|\.)module\.', start):
        beside = start[: copy.end() - len('module.')]
        if any(beside + counter in tensors for counter in AVERAGE_COUNTERS):
            return 1
    # encoder_k and modelEMA are two words each
    parts = [
        [word.lower() for word in re.findall('[A-Z]+(?![a-z])|[A-Z]?[a-z]+', part)]
        for part in (path + start).split('.')
    ]
    words = [word for part in parts for word in part]
    letters = [word for part in parts if len(part) > 1 for word in part]
    if 'k' in letters or any(AVERAGE.match(word) for word in words):
        return 1
    return -1 if 'q' in letters or any(TRAINED.match(word) for word in words) else 0


def is_swapped(state: State) -> bool:
    """Whether MMEngine's EMAHook wrote the file: the average stands in ``state_dict`` for use.

    The trained network, from which a run resumes, stands in ``ema_state_dict``.
    """
    average = state.get('ema_state_dict')
    return isinstance(average, dict) and 'steps' in average and 'state_dict' in state


def identity_of(state: State) -> dict[str, int]:
    """What makes a pretext another one, by name: whole numbers that its model keeps in buffers.

    They are called ``identity.grid``, ``identity.unshuffled``; before version 0.2 the two stood
    in one buffer, ``puzzle``. Empty for other checkpoints.
    """
    model = {n: t for n, t in networks_of(state).get('', {}).items() if kind(t) in WHOLE}
    identity = {n: int(t) for n, t in under(model, 'identity.').items() if t.ndim == 0}
    old = model.get('puzzle')
    if old is not None and old.shape == (2,):
        identity = {'grid': int(old[0]), 'unshuffled': int(old[1]), **identity}
    return identity


def six_channel_convs(tensors: Tensors) -> list[str]:
    """Names of the kernels (C, 6, k, k)."""
    return [name for name, t in tensors.items() if t.ndim == 4 and t.shape[1] == 6]


def fold_stem(tensors: Tensors) -> dict[str, Tensor]:
    """Make the 6-channel stem of an HSJP run with ``unshuffled=True`` a 3-channel one.

    The kernel (C, 6, k, k) sees the shuffled crop, then the unshuffled one. Its two halves are
    summed, which is the same as showing the new network's one image to both.

    Raises:
        CheckpointError: Not exactly one convolution takes 6 channels, or its kernel is quantised.
    """
    stems = six_channel_convs(tensors)
    if len(stems) != 1:
        raise CheckpointError(
            'the checkpoint says unshuffled=True, so one convolution should take 6 channels; '
            f'{len(stems)} do: {shorten(stems)}'
        )
    if kind(tensors[stems[0]]) not in REAL:
        raise CheckpointError(f'{stems[0]} is {kind(tensors[stems[0]])}, no plain real numbers')
    shuffled, unshuffled = tensors[stems[0]].float().split(3, dim=1)
    return {**tensors, stems[0]: shuffled + unshuffled}
