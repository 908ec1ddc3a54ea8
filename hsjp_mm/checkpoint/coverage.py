"""Which tensors of a checkpoint are the backbone, and do they cover the model? No files here.

Words: a *network* is a dictionary from name to tensor inside a checkpoint; its *path* is the keys
that lead to it, joined by dots (``'state_dict'`` adds nothing: it is where MMEngine keeps the
model). A *prefix* is that path and the start of the tensors' names, e.g. ``'backbone.'`` or
``'module.encoder_q.'`` or ``'teacher.backbone.'``. C is output channels, k the kernel side.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

# Words in the names of a moving average of the trained network; a word may go on (`averaged`).
AVERAGE = re.compile(
    r'(model|net)?ema(model|net)?$|(avg|ewma|key|swa)$|'
    'averag|momentum|moving|polyak|shadow|target|teacher'
)
# Words in the names of the network that is trained, where the average has the plain name.
TRAINED = re.compile(r'(anchor|online|query|student)$')
# Tensors that torch's AveragedModel and MMEngine's averages keep beside their copy, `module.`.
AVERAGE_COUNTERS = ('n_averaged', 'steps')
# A count of batches that batch norm with a fixed momentum never reads; old files lack it.
COUNTER = 'num_batches_tracked'
# MMPose's HRNet leaves these out unless stage4.multiscale_output=True; MMDetection's has them.
HRNET_LAST_FUSE = re.compile(r'stage4\.\d+\.fuse_layers\.[1-9]\.')
# Depth by (bottleneck blocks?, blocks of layer1 to layer4).
RESNETS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
}

REAL = {f'torch.{name}' for name in ('float16', 'bfloat16', 'float32', 'float64')}
WHOLE = {f'torch.{name}' for name in ('bool', 'uint8', 'int8', 'int16', 'int32', 'int64')}

State = Mapping[str, Any]
Tensors = Mapping[str, Tensor]


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message says which and why."""


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
                    votes[path, start] += 1 + (_shape(tensor) == _shape(target))
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
    candidates.sort(key=lambda c: (_averaging(networks[c[0]], c), -votes[c]))
    return {path + start: under(networks[path], start) for path, start in candidates}


def _averaging(tensors: Tensors, candidate: tuple[str, str]) -> int:
    """-1 if a candidate of these tensors says that it is trained, 1 for an average, else 0."""
    path, start = candidate
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


@dataclass
class Coverage:
    """How far the tensors of a file cover a model.

    Args:
        tensors: Number of tensors (buffers too) that the model expects.
        parameters: Number of values in the model's parameters, (expected, matched).
        matched: Names of equal shape on both sides.
        missing: Names that only the model has.
        allowed: Names that only the model has, by ``allow_missing``.
        counters: Names of ``num_batches_tracked`` whose layer is in the file; always allowed.
        unexpected: Names that only the file has; they do not stop a load.
        differing: (name, shape in the file, shape in the model).
        non_finite: Matched names with NaN or infinity in the file, or too large for the model's
            precision.
        negative: Matched names of variances below zero.
        kinds: (name, kind in the file, kind in the model) of matched names whose values mean
            something else: quantised or whole numbers where the model has real ones.
        deeper: Blocks of the file beyond the model's last, such as ``layer3.6``.
        hints: What is likely wrong and what to do.
        source: The file or address.
        prefix: What stood before the names in the file.
        sha256: Of the file.
        folded: Whether a 6-channel stem was made a 3-channel one.
        swapped: Whether the tensors are the average of MMEngine's EMAHook.
        behind: What else the file's network has, with the number of its tensors.
        others: Prefixes of the file under which it would have fitted as well.
        part: What of the model the lists are about.
        beside: Names of the model beside that part.
    """

    tensors: int
    parameters: tuple[int, int]
    matched: list[str]
    missing: list[str]
    allowed: list[str]
    counters: list[str]
    unexpected: list[str]
    differing: list[tuple[str, tuple, tuple]]
    non_finite: list[str]
    negative: list[str]
    kinds: list[tuple[str, str, str]]
    deeper: list[str]
    hints: list[str] = field(default_factory=list)
    source: str = ''
    prefix: str = ''
    sha256: str = ''
    folded: bool = False
    swapped: bool = False
    behind: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    part: str = 'backbone'
    beside: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the file may be loaded."""
        wrong = (self.missing, self.differing, self.non_finite, self.negative, self.kinds)
        return not (any(wrong) or self.deeper)

    def line(self) -> str:
        """One line: how much matched, and from where."""
        expected, matched = (_count(n) for n in self.parameters)
        text = (
            f'{self.part}: {len(self.matched)} of {self.tensors} tensors, {matched} of {expected} '
            f'parameters from {self.source} (prefix {self.prefix!r}, sha256 {self.sha256[:8]}…)'
        )
        if self.folded:
            text += '; the two halves of its 6-channel stem summed'
        if self.counters:
            text += f'; {len(self.counters)} num_batches_tracked absent, which nothing reads'
        if self.allowed:
            text += f'; {len(self.allowed)} allowed to be missing: {shorten(self.allowed, 3)}'
        if self.beside:
            text += f'; {len(self.beside)} beside it start afresh: {shorten(self.beside, 3)}'
        if self.unexpected:
            text += f'; {len(self.unexpected)} of the file unused: {shorten(self.unexpected, 3)}'
        if self.behind:
            text += f'; left behind: {shorten(self.behind, 3)}'
        if self.swapped:
            text += (
                "; this is the average of MMEngine's EMAHook, which keeps the trained one elsewhere"
            )
        if self.others:
            text += f'; also complete under {shorten([repr(other) for other in self.others], 4)}'
        return text

    def report(self) -> str:
        """The lists of what does not fit, shortened, then the hints; empty if all is well."""
        shapes = [f'{name} {file} / {model}' for name, file, model in self.differing]
        kinds = [f'{name} {file} / {model}' for name, file, model in self.kinds]
        lists = {
            'missing (only in the model)': self.missing,
            'differing (file / model)': shapes,
            'of another kind (file / model)': kinds,
            'not finite': self.non_finite,
            'variance below zero': self.negative,
            'further blocks (only in the file)': self.deeper,
            'unexpected (only in the file)': self.unexpected,
        }
        lines = [f'{key}, {len(names)}: {shorten(names)}' for key, names in lists.items() if names]
        return '\n'.join([*lines, *(f'hint: {hint}' for hint in self.hints)])


def shorten(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ', '.join(names[:most]) + (f' … and {rest} more' if rest > 0 else '')


def _count(number: int) -> str:
    return f'{number / 1e6:.1f} M' if number >= 1e6 else f'{number:,}'


def compare(tensors: Tensors, expected: Tensors, allow_missing: Sequence[str] = ()) -> Coverage:
    """Compare names, shapes and kinds, and look whether the values can be a network's.

    Args:
        tensors: Of the file, from :func:`find_backbone`.
        expected: ``model.state_dict(keep_vars=True)``, so that parameters can be told.
        allow_missing: fnmatch patterns of names of the model that the file may lack.

    Raises:
        ValueError: A pattern that fits no name of the model, or ``allow_missing`` is a string.
    """
    if isinstance(allow_missing, str):
        raise ValueError(f'allow_missing must be a list of patterns, got {allow_missing!r}')
    for pattern in allow_missing:
        if not any(fnmatchcase(name, pattern) for name in expected):
            raise ValueError(f'allow_missing: {pattern!r} fits no name of the model')
    shared = [name for name in expected if name in tensors]
    matched = [name for name in shared if _shape(tensors[name]) == _shape(expected[name])]
    absent = [name for name in expected if name not in tensors]
    counters = [
        name
        for name in absent
        if name.endswith(COUNTER) and name.replace(COUNTER, 'running_mean') in tensors
    ]
    allowed = [
        name
        for name in absent
        if name not in counters and any(fnmatchcase(name, p) for p in allow_missing)
    ]
    kinds = {name: difference(tensors[name], expected[name]) for name in matched}
    sound = [name for name in matched if kinds[name] is None]
    # in the model's precision: what is finite in 64 bits may not be in 32
    values = {name: tensors[name].to(expected[name].dtype) for name in sound}
    sizes = {n: value.numel() for n, value in expected.items() if isinstance(value, nn.Parameter)}
    coverage = Coverage(
        tensors=len(expected),
        parameters=(sum(sizes.values()), sum(sizes.get(name, 0) for name in matched)),
        matched=matched,
        missing=[name for name in absent if name not in counters and name not in allowed],
        allowed=allowed,
        counters=counters,
        unexpected=[name for name in tensors if name not in expected],
        differing=[
            (name, _shape(tensors[name]), _shape(expected[name]))
            for name in shared
            if name not in matched
        ],
        non_finite=[name for name in sound if not values[name].isfinite().all()],
        negative=[name for name in sound if has_negative_variance(name, values[name])],
        kinds=[(name, *kind) for name, kind in kinds.items() if kind is not None],
        deeper=_further_blocks(tensors, expected),
    )
    return replace(coverage, hints=list(_hints(coverage, tensors, expected)))


def kind(tensor: Tensor) -> str:
    """What the values of a tensor are, e.g. ``'torch.float32'`` or ``'torch.sparse_coo'``."""
    if type(tensor) not in (Tensor, nn.Parameter):
        return type(tensor).__name__
    if tensor.is_nested or tensor.is_meta:
        return 'nested' if tensor.is_nested else 'meta'
    return str(tensor.dtype if tensor.layout == torch.strided else tensor.layout)


def _shape(tensor: Tensor) -> tuple:
    return ('nested',) if kind(tensor) == 'nested' else tuple(tensor.shape)


def difference(file: Tensor, model: Tensor) -> tuple[str, str] | None:
    """The kinds of both tensors, or None if the model can take the file's values as they are.

    Real numbers are taken in any precision from 16 to 64 bits, whole ones if none would change.
    8-bit numbers, floating or not, are quantised weights, which mean nothing without their scale.
    """
    kinds = kind(file), str(model.dtype)
    if kinds[0] == kinds[1] or {*kinds} <= REAL:
        return None
    if kinds[0] in REAL | WHOLE and kinds[1] in WHOLE:
        return None if torch.equal(file.to(model.dtype).to(file.dtype), file) else kinds
    return kinds


def has_negative_variance(name: str, tensor: Tensor) -> bool:
    """Whether a tensor of this name is the running variance of a norm, and below zero somewhere."""
    return name.split('.')[-1] == 'running_var' and bool((tensor < 0).any())


def _blocks(names: Iterable[str]) -> list[str]:
    """The numbered blocks of a network's lists (``layer3.5``, ``trunk.layers.11``), each once."""
    found = (re.match(r'(\w+\.)*?\w+\.\d+(?=\.)', name) for name in names)
    return list(dict.fromkeys(match[0] for match in found if match))


def _further_blocks(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Blocks that others lack, of lists that others have: the mark of a deeper network."""
    known = _blocks(others)
    lists = {block.rpartition('.')[0] for block in known}
    return [b for b in _blocks(names) if b not in known and b.rpartition('.')[0] in lists]


def _resnet(names: Tensors) -> int | None:
    """The depth of a ResNet by its tensors' names."""
    per_stage = Counter(b.split('.')[0] for b in _blocks(names) if b.startswith('layer'))
    counts = tuple(per_stage[f'layer{i}'] for i in range(1, 5))
    return RESNETS.get(('layer1.0.conv3.weight' in names, counts))


def _hints(coverage: Coverage, tensors: Tensors, expected: Tensors) -> Iterable[str]:
    """Likely causes of what :func:`compare` found."""
    if coverage.non_finite:
        yield 'NaN or infinity: the run that wrote the file had diverged; take an earlier one'
    if coverage.negative:
        yield 'a variance below zero comes of no training: the file is damaged; take another one'
    if coverage.kinds:
        yield (
            'weights of another kind, such as quantised ones, mean nothing as plain numbers: save '
            'them in a floating precision of 16 bits or more'
        )
    if coverage.missing and all(HRNET_LAST_FUSE.match(name) for name in coverage.missing):
        yield (
            "MMDetection's HRNet has the last fuse layers to the lower resolutions, MMPose's has "
            'them only with backbone.extra.stage4.multiscale_output=True. Either pretrain with '
            "that and with neck=dict(type='FeatureMapProcessor', concat=True), so that they "
            'exist and are trained (the head then takes the sum of the four widths), or let them '
            "start afresh: allow_missing=['stage4.*.fuse_layers.[123].*']"
        )
    yield from _depth_hints(coverage, tensors, expected)
    for name, file, model in coverage.differing:
        if len(file) == 4 and {file[1], model[1]} == {3, 6}:
            yield (
                f'{name} takes {file[1]} channels in the file, {model[1]} in the model. Two images '
                'go in with unshuffled=True of HSJP; the halves are summed into a 3-channel stem '
                "only if the checkpoint says so in its tensor 'identity.unshuffled'"
            )
        elif name.endswith('pos_embed'):
            yield (
                f'{name} is for another input size or token count (a class token is one token). '
                'Nothing is interpolated here: build the backbone with the img_size and '
                "with_cls_token of the file, or use init_cfg type='Pretrained' (not checked), with "
                "which MMPretrain's VisionTransformer resizes embeddings of square inputs"
            )


def _depth_hints(coverage: Coverage, tensors: Tensors, expected: Tensors) -> Iterable[str]:
    shared = len(coverage.matched) + len(coverage.differing)
    file, model = _resnet(tensors), _resnet(expected)
    if file and model and file != model:
        yield f'another depth: the file looks like ResNet-{file}, the model like ResNet-{model}'
    elif 2 * shared < len(expected):
        yield (
            f'another architecture, or other names for it: the file holds {shared} of the '
            f"model's {len(expected)} names"
        )
    elif coverage.deeper:
        yield f'another depth: the file goes on with {shorten(coverage.deeper, 4)}'
    elif further := _further_blocks(expected, tensors):
        yield f'another depth: the file lacks the whole of {shorten(further, 4)}'
