"""Do the tensors of a checkpoint cover a model? No files here.

What :mod:`finding` and :mod:`tensors` hold can be imported from here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from hsjp_mm.checkpoint.finding import (
    dotted,
    find_backbone,
    find_backbones,
    fold_stem,
    identity_of,
    is_swapped,
    networks_of,
    six_channel_convs,
    under,
)
from hsjp_mm.checkpoint.hints import further_blocks, hints
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

__all__ = [
    'REAL', 'WHOLE', 'CheckpointError', 'Coverage', 'State', 'Tensors', 'compare', 'difference',
    'dotted', 'find_backbone', 'find_backbones', 'fold_stem', 'has_negative_variance',
    'identity_of', 'is_swapped', 'kind', 'networks_of', 'shorten', 'six_channel_convs', 'under',
]  # fmt: skip


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
    matched = [name for name in shared if shape_of(tensors[name]) == shape_of(expected[name])]
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
            (name, shape_of(tensors[name]), shape_of(expected[name]))
            for name in shared
            if name not in matched
        ],
        non_finite=[name for name in sound if not values[name].isfinite().all()],
        negative=[name for name in sound if has_negative_variance(name, values[name])],
        kinds=[(name, *kind) for name, kind in kinds.items() if kind is not None],
        deeper=further_blocks(tensors, expected),
    )
    return replace(coverage, hints=list(hints(coverage, tensors, expected)))


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
