"""Both loops give what the stock loops give, with two batches in work."""

import threading

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.registry import LOOPS
from torch.utils.data import DataLoader, Dataset

import hsjp_mm.registry  # noqa: F401

SECONDS = 20


class Numbers(Dataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index


class Seen(BaseMetric):
    """Keeps what it is given, in its order."""

    def process(self, data_batch, data_samples):
        self.results += [(int(a), float(b)) for a, b in zip(data_batch, data_samples, strict=True)]

    def compute_metrics(self, results):
        return {'seen': list(results)}


class Network(BaseModel):
    """Multiplies; batches of ``slow`` wait until the next batch has begun."""

    def __init__(self, slow=(), failing=()):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0))
        self.slow, self.failing = slow, failing
        self.begun = {}
        self.lock = threading.Lock()
        self.autocast = set()

    def event(self, number):
        with self.lock:
            return self.begun.setdefault(number, threading.Event())

    def forward(self, batch):
        first = int(batch[0])
        self.event(first).set()
        self.autocast.add(torch.is_autocast_enabled('cpu'))
        if first in self.slow:
            assert self.event(first + len(batch)).wait(SECONDS), 'the next batch was not begun'
        if first in self.failing:
            raise RuntimeError(f'no outputs for {first}')
        outputs = batch * self.weight
        assert not outputs.requires_grad
        return list(outputs)

    val_step = test_step = lambda self, batch: self(batch)


class Runner:
    """What a loop uses of MMEngine's Runner; keeps the calls of hooks."""

    def __init__(self, model):
        self.model = model
        self.calls = []
        self.visualizer = self

    def call_hook(self, name, batch_idx=None, data_batch=None, outputs=None, metrics=None):
        self.calls.append((name, batch_idx, None if data_batch is None else data_batch.tolist()))


def run(kind, mode, length=7, batch_size=2, fp16=False, **kwargs):
    loader = DataLoader(Numbers(length), batch_size=batch_size)
    loader.dataset.metainfo = {}
    runner = Runner(Network(**kwargs))
    cfg = dict(type=f'{kind}{mode}Loop', runner=runner, dataloader=loader, fp16=fp16)
    loop = LOOPS.build(dict(cfg, evaluator=Evaluator(Seen())))
    return loop, runner


MODES = pytest.mark.parametrize('mode', ['Val', 'Test'])


@MODES
@pytest.mark.parametrize('length', [1, 2, 3, 7, 8])
def test_outputs_order_and_hooks_are_those_of_the_stock_loop(mode, length):
    stock, stock_runner = run('', mode, length)
    loop, runner = run('hsjp_mm.Overlap', mode, length)
    metrics = loop.run()
    assert metrics == stock.run() == {'seen': [(i, 3.0 * i) for i in range(length)]}
    assert runner.calls == stock_runner.calls
    assert not runner.model.training


@MODES
def test_a_batch_is_begun_while_the_one_before_is_in_work(mode):
    """In the stock loop the first would wait in vain."""
    loop, _ = run('hsjp_mm.Overlap', mode, slow=[0, 2, 4])
    assert loop.run()['seen'] == [(i, 3.0 * i) for i in range(7)]


@MODES
def test_no_more_than_two_batches_are_begun(mode):
    loop, runner = run('hsjp_mm.Overlap', mode, length=20, failing=[4])
    with pytest.raises(RuntimeError, match='no outputs for 4'):
        loop.run()
    assert max(runner.model.begun) <= 4 + 2 * 2


@MODES
def test_a_failure_is_raised_and_leaves_model_and_loop_as_they_were(mode):
    loop, runner = run('hsjp_mm.Overlap', mode, failing=[2])
    loader = loop.dataloader
    with pytest.raises(RuntimeError, match='no outputs for 2'):
        loop.run()
    assert loop.dataloader is loader
    assert not {'val_step', 'test_step'} & set(vars(runner.model))
    runner.model.failing = ()
    loop.evaluator.metrics[0].results.clear()
    assert loop.run()['seen'] == [(i, 3.0 * i) for i in range(7)]


@MODES
def test_half_precision_reaches_the_threads(mode):
    for fp16 in (False, True):
        loop, runner = run('hsjp_mm.Overlap', mode, fp16=fp16)
        loop.run()
        assert runner.model.autocast == {fp16}
