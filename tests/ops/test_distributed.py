"""Rows, losses and gradients of several processes against those of one.

Three processes are started once, and do everything that the tests look at; for the second half the
third of them stands aside.
"""

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope

from hsjp_mm.models import JigClu
from hsjp_mm.ops import distributed
from tests.helpers import leave_group, tiny_jigclu

pytestmark = pytest.mark.slow  # starts processes

# rows by rank, for the exchange
ROWS = {3: [(2, 2, 2), (1, 3, 2), (4, 0, 3), (1, 1, 1), (0, 7, 1)], 2: [(5, 5), (2, 3), (1, 1)]}
# name: images by rank, options of the model
BATCHES: dict[int, dict[str, tuple[tuple[int, ...], dict]]] = {
    3: {
        'uneven': ((1, 3, 2), {}),
        'single': ((1, 1, 1), {}),
        'grid 3': ((2, 1, 1), dict(grid=3)),
    },
    2: {
        'even': ((2, 2), {}),
        'odd': ((3, 2), {}),
        'n, n + 1': ((2, 3), {}),
        'single': ((1, 1), {}),
        'clustering only': ((2, 2), dict(beta=0.0)),
        'location only': ((2, 1), dict(alpha=0.0)),
        'weights': ((2, 2), dict(alpha=0.3, beta=2.0)),
        'small patches': ((2, 1), dict(input_format='small_patches')),
    },
}
REFUSED = {3: [(2, 0, 2), (3, 0, 0), (1, 0, 0), (0, 0, 0)], 2: [(1, 0), (0, 1), (0, 4)]}


def rows_of(sizes: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(sum(sizes) * 6, dtype=torch.float64).reshape(-1, 2, 3)


def order_of(sizes: tuple[int, ...]) -> torch.Tensor:
    return torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(sum(sizes)))


def part(tensor: torch.Tensor, sizes: tuple[int, ...], rank: int) -> torch.Tensor:
    return tensor.split(list(sizes))[rank]


def images_of(number: int, model: JigClu) -> torch.Tensor:
    width, height = model.patch_size
    generator = torch.Generator().manual_seed(5)
    shape = (number, 3, model.grid**2 * height, width)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def step(model, images: torch.Tensor, seed: int) -> dict:
    """What one training step computes; ``model`` may be wrapped."""
    plain = getattr(model, 'module', model)
    torch.manual_seed(seed)
    values = model(images, [], mode='loss')
    loss, logged = plain.parse_losses(values)
    loss.backward()
    gradients = {name: weight.grad for name, weight in plain.named_parameters()}
    return {'loss': loss.detach(), 'logged': dict(logged), 'gradients': gradients}


def dense_columns(rows: torch.Tensor) -> torch.Tensor:
    """The same rows, laid out in memory by their last dimension first."""
    return rows.movedim(0, -1).contiguous().movedim(-1, 0)


def check_rows(world: int, rank: int, found: dict) -> None:
    for sizes in ROWS[world]:
        rows = part(rows_of(sizes), sizes, rank)
        found['sizes', sizes] = distributed.sizes_of(len(rows))
        for layout, own in (('rows', rows), ('columns', dense_columns(rows))):
            found['exchange', layout, sizes] = distributed.exchange(own, order_of(sizes), sizes)
            flat = own.flatten(1) if layout == 'rows' else dense_columns(own.flatten(1))
            leaf = flat.detach().requires_grad_()
            gathered = distributed.gather(leaf, sizes)
            (gathered * rows_of(sizes).flatten(1).square()).sum().backward()
            found['gather', layout, sizes] = gathered.detach()
            found['gather gradient', layout, sizes] = leaf.grad
    leaf = torch.tensor(float(rank + 1), requires_grad=True)
    summed = distributed.total(leaf)
    (summed**2).backward()
    found['total'], found['total gradient'] = summed.detach(), leaf.grad
    torch.manual_seed(100 + rank)
    found['shared'] = torch.stack([distributed.shared(torch.randperm(20)) for _ in range(3)])


def check_models(world: int, rank: int, found: dict) -> None:
    for name, (sizes, options) in BATCHES[world].items():
        model = tiny_jigclu(**options).double()
        own = part(images_of(sum(sizes), model), sizes, rank)
        wrapped = MMDistributedDataParallel(model, device_ids=None)
        found['step', name] = step(wrapped, own, seed=100 + rank)
    model = tiny_jigclu().double()
    for sizes in REFUSED[world]:
        own = part(images_of(sum(sizes), model), sizes, rank)
        found['refused', sizes] = message(model, own)
    sizes = (2,) * world
    images = images_of(sum(sizes), model)
    images[-1, 0, 3, 3] = torch.nan  # of the last process
    found['not finite'] = message(model, part(images, sizes, rank))


def message(model: JigClu, images: torch.Tensor) -> str:
    try:
        model(images, [], mode='loss')
    except ValueError as error:
        return str(error)
    return 'nothing was raised'


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    init_default_scope('mmpose')
    for world in (3, 2):
        if rank >= world:
            continue
        torch.distributed.init_process_group(
            'gloo', f'file://{folder}/{world}', timedelta(seconds=60), world, rank
        )
        for backends in (distributed.ALL_TO_ALL, ()):
            distributed.ALL_TO_ALL = backends
            found: dict = {}
            check_rows(world, rank, found)
            check_models(world, rank, found)
            torch.save(found, f'{folder}/{world}-{rank}-{"gloo" if backends else "gathered"}')
        distributed.ALL_TO_ALL = ('gloo',)
        leave_group()


@pytest.fixture(scope='module')
def everything(tmp_path_factory) -> dict:
    """What the processes found, by way of sending, number of processes and rank."""
    folder = tmp_path_factory.mktemp('processes')
    # a fresh process imports what takes seconds, and is forked; spawning would import it thrice
    multiprocessing.set_forkserver_preload(['hsjp_mm.models', 'torch._dynamo'])
    torch.multiprocessing.start_processes(
        run_rank, (str(folder),), nprocs=3, start_method='forkserver'
    )
    return {
        (sent, world): [torch.load(Path(folder, f'{world}-{rank}-{sent}')) for rank in range(world)]
        for sent in ('gloo', 'gathered')
        for world in (3, 2)
    }


ways = pytest.mark.parametrize('way', [(s, w) for s in ('gloo', 'gathered') for w in (3, 2)])
batches = pytest.mark.parametrize(
    ('world', 'name'), [(world, name) for world, cases in BATCHES.items() for name in cases]
)


# ----------------------------------------------------------------------------------------- rows


@ways
@pytest.mark.parametrize('layout', ['rows', 'columns'])
def test_exchange_is_indexing_the_rows_of_all(everything, way, layout):
    for sizes in ROWS[way[1]]:
        expected = rows_of(sizes)[order_of(sizes)]
        for rank, found in enumerate(everything[way]):
            assert torch.equal(found['exchange', layout, sizes], part(expected, sizes, rank))


@ways
@pytest.mark.parametrize('layout', ['rows', 'columns'])
def test_gather_brings_all_rows_in_order_and_the_sum_of_the_gradients(everything, way, layout):
    for sizes in ROWS[way[1]]:
        expected = rows_of(sizes).flatten(1)
        for rank, found in enumerate(everything[way]):
            assert found['sizes', sizes] == list(sizes)
            assert torch.equal(found['gather', layout, sizes], expected)
            # each process has the same loss, so the sum is their number times the gradient of one
            gradient = way[1] * part(expected.square(), sizes, rank)
            assert torch.equal(found['gather gradient', layout, sizes], gradient)


@ways
def test_total_sums_values_and_gradients(everything, way):
    world = way[1]
    summed = world * (world + 1) / 2
    for found in everything[way]:
        assert found['total'] == summed
        assert found['total gradient'] == world * 2 * summed


@ways
def test_permutations_are_the_first_processs_and_differ_between_steps(everything, way):
    torch.manual_seed(100)  # the first one's; the others had other seeds
    expected = torch.stack([torch.randperm(20) for _ in range(3)])
    assert len(expected.unique(dim=0)) == 3
    for found in everything[way]:
        assert torch.equal(found['shared'], expected)


def test_without_a_process_group_nothing_is_sent():
    rows = rows_of((5,)).requires_grad_()
    order = order_of((5,))
    assert distributed.sizes_of(5) == [5]
    assert torch.equal(distributed.exchange(rows, order, [5]), rows[order])
    assert distributed.gather(rows, [5]) is rows
    assert distributed.total(rows) is rows
    assert torch.equal(distributed.shared(order.clone()), order)


# --------------------------------------------------------------------------------------- JigClu


@pytest.mark.parametrize('sent', ['gloo', 'gathered'])
@batches
def test_many_processes_compute_what_one_does(everything, sent, world, name):
    """The loss, the gradient of every parameter and all measures, in float64."""
    sizes, options = BATCHES[world][name]
    model = tiny_jigclu(**options).double()
    expected = step(model, images_of(sum(sizes), model), seed=100)
    assert expected['loss'] > 0.1
    close = dict(rtol=0, atol=1e-9)
    for found in everything[sent, world]:
        found = found['step', name]
        torch.testing.assert_close(found['loss'], expected['loss'], **close)
        assert found['logged'].keys() == expected['logged'].keys()
        for key, value in expected['logged'].items():
            tolerance = 1e-6 if key.endswith('_chance') else 1e-9  # the chances are float32
            assert abs(found['logged'][key] - value) < tolerance, key
        assert found['gradients'].keys() == expected['gradients'].keys()
        for key, gradient in expected['gradients'].items():
            assert gradient.abs().max() > 1e-8, key
            torch.testing.assert_close(found['gradients'][key], gradient, **close, msg=key)


@pytest.mark.parametrize('sent', ['gloo', 'gathered'])
@pytest.mark.parametrize('world', [3, 2])
def test_every_process_refuses_a_batch_that_is_too_small(everything, sent, world):
    for sizes in REFUSED[world]:
        for found in everything[sent, world]:
            text = found['refused', sizes]
            assert f'a batch of {sum(sizes)} images over {world} processes' in text
            assert str(list(sizes)) in text and 'drop_last=True' in text


@ways
def test_every_process_stops_at_a_nan_of_one(everything, way):
    for found in everything[way]:
        assert 'hold NaN or infinity' in found['not finite']


@pytest.mark.slow
def test_rows_are_put_in_a_random_order_in_a_compiled_function():
    def mix(rows):
        order = distributed.shared_order(len(rows))
        return distributed.exchange(rows, order, [len(rows)]) + 1, order

    rows = torch.arange(12.0).reshape(6, 2)
    torch.manual_seed(0)
    mixed, order = torch.compile(mix)(rows)
    torch.testing.assert_close(mixed, rows[order] + 1)
    torch.manual_seed(0)
    assert torch.equal(order, torch.randperm(6))  # as without compilation
