"""Planning, running and resuming fine-tunings, with a stand-in for the training itself."""

import fcntl
import json
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.comparison import execution
from hsjp_mm.comparison.execution import (
    checkpoint_to_resume,
    is_finished,
    parse_init,
    plan,
    put_aside,
    run_all,
)
from hsjp_mm.comparison.runs import collect, differences, sha256_of
from hsjp_mm.datasets.toy import render
from tests.helpers import ROOT

DEMO = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
TRAIN = '''
"""Leaves what MMEngine leaves of 20 iterations with evaluations at 10 and 20."""
import hashlib, json, pathlib, re, sys, time, zipfile
config, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3])
with (folder / 'calls').open('a') as calls:
    calls.write(' '.join(sys.argv[4:]) + '\\n')
text = config.read_text()
number = len((folder / 'calls').read_text().splitlines())
stamp = folder / f'20260101_00000{number}'
(stamp / 'vis_data').mkdir(parents=True)
resumed = f"resume = True\\nload_from = {sys.argv[5]!r}\\n" if '--resume' in sys.argv else ''
(stamp / 'vis_data/config.py').write_text(text + resumed)
start = 10 if resumed else 0
def save(step):
    with zipfile.ZipFile(folder / f'iter_{step}.pth', 'w') as file:
        file.writestr('x', str(step))
    (folder / 'last_checkpoint').write_text(f'/moved/since/iter_{step}.pth')
log = '2026/01/01 00:00:00 - mmengine - INFO - begins\\n'
checkpoint = re.search(r"checkpoint=\\s*'([^']+)'", text)
if checkpoint and not (folder.parent / 'unloaded').exists():
    digest = hashlib.sha256(pathlib.Path(checkpoint[1]).read_bytes()).hexdigest()
    log += f'2026/01/01 00:00:01 - mmengine - INFO - backbone: 4 of 4 tensors, 4 of 4 ' \\
           f'parameters from {checkpoint[1]} (sha256 {digest[:8]}…)\\n'
lines = []
for step in range(start + 10, 21, 10):
    print(f'01/01 00:00:02 - mmengine - INFO - Iter(train) [{step}/20] loss: 1', flush=True)
    lines += [{'loss': 1, 'step': step}, {'coco/AP': step / 100, 'step': step}]
    save(step)
    if (folder.parent / 'crash').exists():
        sys.exit('RuntimeError: out of memory')
    print(f'01/01 00:00:03 - mmengine - INFO - Iter(val) [1/1] coco/AP: {step / 100}', flush=True)
(stamp / 'vis_data/scalars.json').write_text('\\n'.join(map(json.dumps, lines)))
(stamp / 'run.log').write_text(log + '2026/01/01 00:00:30 - mmengine - INFO - ends\\n')
'''


@pytest.fixture(scope='module')
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('toy') / 'data'
    render(folder, num_train=8, num_val=2)
    return folder


@pytest.fixture
def config(toy) -> Config:
    """The demo's fine-tuning of 20 iterations."""
    config = Config.fromfile(DEMO)
    data = f'{toy}/annotations/person_keypoints_val.json'
    config.merge_from_dict(
        {
            'train_dataloader.dataset.data_root': f'{toy}/',
            'train_dataloader.dataset.indices': None,
            'train_dataloader.batch_size': 3,
            'val_dataloader.dataset.data_root': f'{toy}/',
            'val_evaluator.ann_file': data,
            'train_cfg.max_iters': 20,
        }
    )
    return config


@pytest.fixture
def weights(config, tmp_path) -> str:
    path = tmp_path / 'weights.pth'
    torch.manual_seed(0)
    torch.save(MODELS.build(config.model.backbone).state_dict(), path)
    return str(path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a plan with the stand-in, returning the failures and what was said."""
    script = tmp_path / 'train.py'
    script.write_text(TRAIN)
    monkeypatch.setattr(execution, 'TRAIN', script)

    def run(runs, jobs=1):
        said = []
        return run_all(runs, jobs, said.append), said

    return run


def calls(planned) -> list[str]:
    return (planned.folder / 'calls').read_text().splitlines()


@pytest.mark.parametrize(
    ('text', 'parsed'),
    [
        ('scratch', ('scratch', None)),
        ('random=scratch', ('random', None)),
        ('hsjp=a/b=c.pth', ('hsjp', 'a/b=c.pth')),
    ],
)
def test_init_is_name_and_source(text, parsed):
    assert parse_init(text) == parsed


@pytest.mark.parametrize('text', ['hsjp', 'hsjp=', '=a.pth', 'a/b=c.pth', 'a b=c.pth'])
def test_bad_inits(text):
    with pytest.raises(ValueError, match='must be scratch, NAME=scratch or NAME=CHECKPOINT'):
        parse_init(text)


def test_plan_differs_in_nothing_but_what_is_compared(config, weights, tmp_path):
    inits = {'scratch': None, 'hsjp': weights}
    runs = plan(config, inits, [0.5, 1.0], [0, 7], tmp_path / 'w')
    assert [str(run.folder.relative_to(tmp_path / 'w')) for run in runs[:5]] == [
        'scratch/labels-0.5/seed-0', 'hsjp/labels-0.5/seed-0',
        'scratch/labels-1/seed-0', 'hsjp/labels-1/seed-0', 'scratch/labels-0.5/seed-7',
    ]  # fmt: skip
    assert len(runs) == 8 and {run.iterations for run in runs} == {20}
    assert len({sha256_of(run.recipe) for run in runs}) == 8
    assert len({sha256_of(run.recipe['protocol']) for run in runs}) == 1
    found = list(differences(runs[0].recipe, runs[-1].recipe))
    assert [text.split(':')[0] for text in found] == ['init', 'labels', 'seed']
    scratch, hsjp = runs[4].config, runs[-1].config
    assert scratch.model.backbone.init_cfg is None
    assert hsjp.model.backbone.init_cfg == dict(type='hsjp_mm.PretextInit', checkpoint=weights)
    dataset = scratch.train_dataloader.dataset
    assert (dataset.type, dataset.fraction, dataset.seed) == ('hsjp_mm.LabelSubset', 0.5, 7)
    assert hsjp.train_dataloader.dataset.type == 'CocoDataset'
    assert scratch.randomness.seed == hsjp.randomness.seed == 7
    assert hsjp.val_evaluator.outfile_prefix == str(runs[-1].folder / 'predictions')
    assert 'indices' in config.train_dataloader.dataset  # that given is left as it was
    assert config.get('randomness', {}).get('seed') != 7


LIST = [dict(type='Kaiming', layer='Conv2d'), dict(type='Pretrained', checkpoint='')]


@pytest.mark.parametrize(
    ('own', 'scratch'),
    [
        (LIST[:1], LIST[:1]),
        (dict(type='Pretrained', checkpoint='imagenet.pth'), None),
        (LIST, None),
    ],
)
def test_random_weights_are_drawn_as_the_config_says(own, scratch, config, weights, tmp_path):
    config.model.backbone.init_cfg = own
    inits = {'scratch': None, 'hsjp': weights}
    runs = plan(config, inits, [1.0], [0], tmp_path)
    assert runs[0].config.model.backbone.init_cfg == scratch
    assert runs[0].recipe['init'] == {'random weights': scratch}
    assert runs[1].config.model.backbone.init_cfg.type == 'hsjp_mm.PretextInit'
    assert runs[1].recipe['init'] == runs[1].init.sha256


def test_epochs_are_equally_long_whatever_the_share_of_the_labels(config, tmp_path):
    config.train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
    config.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    whole = Runner.build_dataloader(config.train_dataloader, seed=0)
    lengths = []
    for run in plan(config, {'scratch': None}, [0.25, 1.0], [0], tmp_path):
        assert run.iterations == 3 * len(whole)
        loader = Runner.build_dataloader(run.config.train_dataloader, seed=0)
        assert len(list(loader.sampler)) == len(whole.dataset)
        lengths.append((len(loader), len(loader.dataset)))
    assert [length for length, _ in lengths] == [len(whole)] * 2
    assert lengths[0][1] < lengths[1][1] == len(whole.dataset)
    config.train_dataloader.sampler.type = 'MultiSourceSampler'
    with pytest.raises(ValueError, match=r'sampler is a MultiSourceSampler.*count iterations'):
        plan(config, {'scratch': None}, [1.0], [0], tmp_path)


@pytest.mark.parametrize(
    ('options', 'arguments', 'message'),
    [
        ({}, dict(fractions=[0.5, 0.5]), 'each once'),
        ({}, dict(fractions=[]), 'one or more'),
        ({}, dict(fractions=[1.5]), r'1.5 must be in \(0, 1\]'),
        ({}, dict(seeds=[-1]), 'must not be negative'),
        ({}, dict(processes=0), 'processes=0'),
        ({'load_from': 'pose.pth'}, {}, 'would initialise the whole model'),
        ({'train_dataloader.dataset.indices': 3}, {}, 'indices=3'),
        ({'train_dataloader.batch_size': 0}, {}, 'batch_size is needed'),
    ],
)
def test_what_cannot_be_compared(options, arguments, message, config, tmp_path):
    config.merge_from_dict(options)
    given = dict(inits={'scratch': None}, fractions=[0.5], seeds=[0], work_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        plan(config, **{**given, **arguments})


def test_missing_and_unfitting_files_are_found_before_anything_runs(config, weights, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        plan(config, {'a': 'nowhere.pth'}, [1.0], [0], tmp_path)
    state = torch.load(weights)
    state.pop('conv1.weight')
    torch.save(state, tmp_path / 'less.pth')
    with pytest.raises(CheckpointError, match=r'init a: .*(?s:.*)conv1.weight'):
        plan(config, {'a': str(tmp_path / 'less.pth')}, [1.0], [0], tmp_path)
    config.val_evaluator.ann_file = 'gone.json'
    with pytest.raises(FileNotFoundError, match=r'gone\.json'):
        plan(config, {'scratch': None}, [1.0], [0], tmp_path)


def test_runs_leave_results_and_are_not_repeated(config, weights, tmp_path, run):
    inits = {'scratch': None, 'hsjp': weights}
    runs = plan(config, inits, [0.5, 1.0], [0], tmp_path / 'w')
    failures, said = run(runs)
    assert not [failure.reason for failure in failures]
    assert said[0] == (
        '4 runs: 0 finished before, 0 to be resumed, 4 to be started; 20 iterations each'
    )
    assert said[1] == '[1/4] scratch, 50% of the labels, seed 0: starts'
    assert '10 of 20 iterations, coco/AP 0.100; about ' in said[2] and ' left' in said[2]
    assert said[4].endswith('coco/AP 0.200 after 30 s')
    results, _ = collect([planned.folder for planned in runs])
    assert [(r.init, r.fraction, r.seed) for r in results] == [
        ('scratch', 0.5, 0), ('hsjp', 0.5, 0), ('scratch', 1.0, 0), ('hsjp', 1.0, 0),
    ]  # fmt: skip
    last, planned = results[-1], runs[-1]
    assert last.curve == [(30, 0.1), (60, 0.2)]  # batches of 3
    assert last.host_memory > 1
    assert last.commands == [
        f'python {tmp_path}/train.py {planned.folder}/config.py --work-dir {planned.folder}'
    ]
    assert last.hashes['initialisation'] == planned.init.sha256
    assert last.hashes['recipe'] == sha256_of(planned.recipe)
    assert len(last.hashes) == 6  # config.py, the checkpoint, two annotation files
    assert torch.__version__.startswith(last.versions['torch'])
    assert all(is_finished(planned) for planned in runs)
    failures, said = run(runs)
    assert said == [
        '4 runs: 4 finished before, 0 to be resumed, 0 to be started; 20 iterations each'
    ]
    assert all(calls(planned) == [''] for planned in runs)


def test_a_failure_does_not_stop_the_others_and_is_resumed(config, tmp_path, run):
    runs = plan(config, {'scratch': None, 'again': None}, [1.0], [0], tmp_path / 'w')
    crash = runs[0].folder.parent / 'crash'
    crash.parent.mkdir(parents=True)
    crash.touch()
    failures, said = run(runs)
    (failure,) = failures
    assert failure.title == 'scratch, 100% of the labels, seed 0'
    assert failure.reason == 'exit status 1'
    assert failure.log.splitlines()[-1] == 'RuntimeError: out of memory'
    assert any('FAILED: exit status 1' in line for line in said)
    assert not is_finished(runs[0]) and is_finished(runs[1])
    crash.unlink()
    failures, said = run(runs)
    assert not [failure.reason for failure in failures]
    assert said[0].startswith('2 runs: 1 finished before, 1 to be resumed, 0 to be started')
    assert said[1].endswith('goes on from iter_10.pth')
    assert calls(runs[0]) == ['', f'--resume {runs[0].folder}/iter_10.pth']
    assert calls(runs[1]) == ['']
    result = json.loads((runs[0].folder / 'result.json').read_text())
    assert len(result['commands']) == 2 and result['recipe'] == runs[0].recipe


def test_a_run_of_another_recipe_is_refused_or_put_aside(config, weights, tmp_path, run):
    def planned(config=config):
        return plan(config, {'hsjp': weights}, [0.5], [0], tmp_path / 'w')

    run(planned())
    changed = Config(config.to_dict())
    changed.optim_wrapper.optimizer.lr = 0.5
    with pytest.raises(ValueError, match=r'optimizer.lr: 0.002, 0.5\..*--rerun'):
        run(planned(changed))
    state = torch.load(weights)
    state['conv1.weight'] += 1
    torch.save(state, weights)  # another file of the same name
    with pytest.raises(ValueError, match=r'another recipe \(there, now\): init: '):
        run(planned())
    (again,) = planned()
    aside = put_aside(again)
    assert aside.name == 'seed-0.old1' and (aside / 'result.json').is_file()
    assert put_aside(again) is None
    failures, _ = run([again])
    assert not [failure.reason for failure in failures] and calls(again) == ['']
    assert put_aside(again) is None  # of the same recipe it stays


def test_weights_that_the_log_does_not_show_are_a_failure(config, weights, tmp_path, run):
    runs = plan(config, {'hsjp': weights}, [1.0], [0], tmp_path / 'w')
    runs[0].folder.mkdir(parents=True)
    (runs[0].folder.parent / 'unloaded').touch()
    (failure,), _ = run(runs)
    assert f'does not show that {weights} was loaded' in failure.reason
    assert not is_finished(runs[0])


def test_a_run_that_ended_without_its_result_is_read_and_not_repeated(config, tmp_path, run):
    runs = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    run(runs)
    (runs[0].folder / 'result.json').unlink()
    failures, _ = run(runs)
    assert (
        not [failure.reason for failure in failures]
        and is_finished(runs[0])
        and calls(runs[0]) == ['']
    )


def test_which_checkpoint_is_gone_on_from(config, tmp_path, run):
    (planned,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    assert checkpoint_to_resume(planned) is None
    run([planned])
    folder = planned.folder
    # from the end there is nothing to go on to: what lacks is the evaluation
    assert checkpoint_to_resume(planned) == folder / 'iter_10.pth'
    (folder / 'iter_15.pth').write_bytes((folder / 'iter_20.pth').read_bytes()[:-5])  # torn
    (folder / 'last_checkpoint').write_text('iter_15.pth')
    assert checkpoint_to_resume(planned) == folder / 'iter_10.pth'
    shutil.copy(folder / 'iter_20.pth', folder / 'iter_15.pth')
    assert checkpoint_to_resume(planned) == folder / 'iter_15.pth'
    (folder / 'iter_15.pth').unlink()
    (folder / 'iter_10.pth').unlink()
    assert checkpoint_to_resume(planned) is None


def test_a_folder_in_use_is_left_alone(config, tmp_path, run):
    (planned,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    planned.folder.mkdir(parents=True)
    with (planned.folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (failure,), _ = run([planned])
    assert failure.reason == 'another process is running it'
    assert not (planned.folder / 'calls').exists()


def test_jobs_run_beside_each_other(config, tmp_path, run, monkeypatch):
    runs = plan(config, {'scratch': None}, [1.0], [0, 1], tmp_path / 'w')
    both = threading.Barrier(2, timeout=60)
    train = execution._train

    def wait_and_train(*arguments):
        both.wait()  # nobody comes through it alone
        return train(*arguments)

    monkeypatch.setattr(execution, '_train', wait_and_train)
    assert run(runs, jobs=2)[0] == []
    assert all(map(is_finished, runs))
    with pytest.raises(ValueError, match='jobs=0'):
        run(runs, jobs=0)


def test_interrupting_stops_the_trainings(config, tmp_path, run):
    runs = plan(config, {'scratch': None, 'other': None}, [1.0], [0], tmp_path / 'w')
    script = execution.TRAIN
    script.write_text('import time\nprint("Iter(train) [5/20]", flush=True)\ntime.sleep(600)')

    def interrupt():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def tell(text):
        if 'starts' in text:
            threading.Timer(1, interrupt).start()

    with pytest.raises(KeyboardInterrupt):
        run_all(runs, 1, tell)
    attempts = json.loads((runs[0].folder / 'attempts.json').read_text())
    assert [attempt['exit_status'] for attempt in attempts] == [-15]
    assert not runs[1].folder.exists()
