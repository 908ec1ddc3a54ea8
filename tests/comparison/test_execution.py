"""Running and resuming what was planned, with a stand-in for the training itself."""

import fcntl
import json
import shutil
import signal
import threading
from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from hsjp_mm.comparison import execution
from hsjp_mm.comparison.execution import (
    Comparison,
    checkpoint_to_resume,
    is_finished,
    put_aside,
    run_all,
)
from hsjp_mm.comparison.fine_tuning_config import sha256_of
from hsjp_mm.comparison.plan import plan
from hsjp_mm.comparison.runs import collect
from hsjp_mm.utils.files import write_json

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
    lines += [{'loss': 1, 'step': step}]
    lines += [{'coco/AP': step / 100, 'hsjp/placed': step / 50, 'step': step}]
    save(step)
    if folder.name == 'pretraining':
        weights = folder.parents[1] / 'pretrained.pth'
        (folder / f'best_hsjp_placed_iter_{step}.pth').write_bytes(weights.read_bytes())
    if (folder.parent / 'crash').exists():
        sys.exit('RuntimeError: out of memory')
    print(f'01/01 00:00:03 - mmengine - INFO - Iter(val) [1/1] coco/AP: {step / 100} '
          f'hsjp/placed: {step / 50}', flush=True)
(stamp / 'vis_data/scalars.json').write_text('\\n'.join(map(json.dumps, lines)))
(stamp / 'run.log').write_text(log + '2026/01/01 00:00:30 - mmengine - INFO - ends\\n')
'''


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


@pytest.mark.slow
def test_runs_leave_results_and_are_not_repeated(config, weights, tmp_path, run):
    inits = {'scratch': None, 'hsjp': weights}
    runs = plan(config, inits, [0.5, 1.0], [0], tmp_path / 'w')
    failures, said = run(runs)
    assert not [failure.reason for failure in failures]
    assert said[0] == (
        '4 runs: 0 finished before, 0 to be resumed, 4 to be started; 20 iterations each'
    )
    assert said[1] == '[1/4] scratch, 50 % of the labels, seed 0: starts'
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


@pytest.mark.slow
def test_a_failure_does_not_stop_the_others_and_is_resumed(config, tmp_path, run):
    runs = plan(config, {'scratch': None, 'again': None}, [1.0], [0], tmp_path / 'w')
    crash = runs[0].folder.parent / 'crash'
    crash.parent.mkdir(parents=True)
    crash.touch()
    failures, said = run(runs)
    (failure,) = failures
    assert failure.title == 'scratch, 100 % of the labels, seed 0'
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


@pytest.mark.slow
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


def changed_rate(config):
    changed = Config(config.to_dict())
    changed.optim_wrapper.optimizer.lr = 0.5
    return changed


def test_a_run_in_progress_is_not_put_aside(config, tmp_path):
    (planned,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    planned.folder.mkdir(parents=True)
    write_json(planned.folder / 'recipe.json', planned.recipe)
    (other,) = plan(changed_rate(config), {'scratch': None}, [1.0], [0], tmp_path / 'w')
    with (planned.folder / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match='seed-0: another process is running it'):
            put_aside(other)
    assert planned.folder.is_dir()
    assert put_aside(other).name == 'seed-0.old1'


def test_what_another_comparison_has_run_meanwhile_is_not_overwritten(
    config, tmp_path, run, monkeypatch
):
    (planned,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    (other,) = plan(changed_rate(config), {'scratch': None}, [1.0], [0], tmp_path / 'w')
    run([other])
    kept = (other.folder / 'recipe.json').read_text()
    before = [False]  # as it was when this comparison began
    monkeypatch.setattr(
        execution, 'is_finished', lambda run: before.pop() if before else is_finished(run)
    )
    (failure,), _ = run([planned])
    assert 'holds a run of another recipe' in failure.reason
    assert (other.folder / 'recipe.json').read_text() == kept


def test_a_measure_that_a_finished_run_lacks_is_refused_before_others_start(config, tmp_path, run):
    run(plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w'))
    given = config, {'scratch': None}, {}, [1.0], [0, 1], tmp_path / 'w', 1
    Comparison(*given).check()
    with pytest.raises(ValueError, match="metric='coco/APM' is not among the measures"):
        Comparison(*given, 'coco/APM', 'greater').check()
    more = plan(*given[:2], *given[3:], 'coco/APM', 'greater')
    with pytest.raises(ValueError, match="metric='coco/APM' is not among the measures"):
        run(more)
    assert not more[1].folder.exists()


def test_a_run_on_data_that_was_moved_says_so(config, toy, tmp_path):
    (planned,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path / 'w')
    recorded = json.dumps(planned.recipe).replace(str(toy), '/elsewhere/data')
    write_json(planned.folder / 'recipe.json', json.loads(recorded))
    message = f'a run on data in /elsewhere, which was moved to {toy.parent}: .* Move the folder'
    with pytest.raises(ValueError, match=message):
        is_finished(planned)


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


@pytest.mark.slow
def test_interrupting_stops_the_trainings(config, tmp_path, run):
    runs = plan(config, {'scratch': None, 'other': None}, [1.0], [0], tmp_path / 'w')
    script = execution.TRAIN
    script.write_text('import time\nprint("Iter(train) [5/20]", flush=True)\ntime.sleep(600)')

    def interrupt():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def tell(text):
        if 'starts' in text:
            threading.Timer(1, interrupt).start()

    # a shell's background jobs begin with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(runs, 1, tell)
    finally:
        signal.signal(signal.SIGINT, before)
    attempts = json.loads((runs[0].folder / 'attempts.json').read_text())
    assert [attempt['exit_status'] for attempt in attempts] == [-15]
    assert not runs[1].folder.exists()


@pytest.fixture
def compare(config, pretraining, tmp_path, run):
    """A function that runs the comparison of scratch and a pretraining with the stand-in."""
    folder = tmp_path / 'w'
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(
        {'state_dict': MODELS.build(pretraining.model).state_dict()}, folder / 'pretrained.pth'
    )

    def compare(rerun=False, failed_before=(), **options):
        said = []
        given = dict(
            inits={'scratch': None}, pretrainings={'mine': pretraining}, fractions=[1.0], seeds=[0],
            work_dir=folder,
        )  # fmt: skip
        comparison = Comparison(config, **{**given, **options})
        run = partial(comparison.run, failed_before=failed_before)
        return run(rerun=rerun, tell=said.append), said

    return compare


@pytest.mark.slow
def test_pretrainings_go_first_and_their_best_checkpoint_is_started_from(
    compare, pretraining, tmp_path
):
    outcome, said = compare()
    assert not outcome.failures
    folder = tmp_path / 'w/mine/pretraining'
    assert said[0] == (
        '1 pretraining: 0 finished before, 0 to be resumed, 1 to be started; 20 iterations each'
    )
    assert '10 of 20 iterations, hsjp/placed 0.200; about' in said[2]
    start = 'mine: fine-tunings start from best_hsjp_placed_iter_20.pth, the best by hsjp/placed'
    assert said.index(start) < said.index('[1/2] scratch, 100 % of the labels, seed 0: starts')
    (done,) = outcome.pretrainings
    assert done.checkpoint == str(folder / 'best_hsjp_placed_iter_20.pth')
    assert [path.parent.parent.name for path in outcome.folders] == ['scratch', 'mine']
    recipe = json.loads((outcome.folders[1] / 'recipe.json').read_text())
    assert recipe['init'] == done.sha256
    result = json.loads((folder / 'result.json').read_text())
    assert result['chosen'] == 'the best by hsjp/placed' and result['sha256'] == done.sha256
    assert len(result['commands']) == 1 and len(result['hashes']) == 5

    outcome, said = compare()
    assert said[0].startswith('1 pretraining: 1 finished before')
    assert said[-1].startswith('2 runs: 2 finished before')
    assert outcome.pretrainings[0].commands == result['commands']


@pytest.mark.slow
def test_a_changed_pretraining_is_refused_or_put_aside_with_what_came_of_it(
    compare, pretraining, tmp_path
):
    compare()
    pretraining.optim_wrapper.optimizer.lr = 0.5
    with pytest.raises(ValueError, match=r'settings.optim_wrapper.optimizer.lr: 0.001, 0.5'):
        compare()
    weights = tmp_path / 'w/pretrained.pth'
    state = torch.load(weights)
    state['state_dict']['backbone.conv1.weight'] += 1
    torch.save(state, weights)
    outcome, said = compare(rerun=True)
    assert not outcome.failures
    aside = [line for line in said if line.startswith('put aside: ')]
    assert [line.split('/w/')[1] for line in aside] == [
        'mine/pretraining.old1', 'mine/labels-1/seed-0.old1',
    ]  # fmt: skip


@pytest.mark.slow
def test_another_recipe_of_any_stage_is_found_by_the_check(compare, config, pretraining, tmp_path):
    compare()
    given = dict(inits={}, fractions=[1.0], seeds=[0], work_dir=tmp_path / 'w')
    Comparison(config, pretrainings={'mine': pretraining}, **given).check()
    with pytest.raises(ValueError, match=r'mine/labels-1/seed-0 holds.*lr: 0.002, 0.5\.'):
        Comparison(changed_rate(config), pretrainings={'mine': pretraining}, **given).check()
    other = Comparison(config, pretrainings={'mine': changed_rate(pretraining)}, **given)
    with pytest.raises(ValueError, match=r'mine/pretraining holds.*lr: 0.001, 0.5\.'):
        other.check()
    other.check(rerun=True)


@pytest.mark.slow
def test_of_a_failed_pretraining_the_fine_tunings_are_left_out(compare, tmp_path):
    crash = tmp_path / 'w/mine/crash'
    crash.parent.mkdir()
    crash.touch()
    outcome, _ = compare()
    (failure,) = outcome.failures
    assert (failure.title, failure.reason) == ('mine, pretraining', 'exit status 1')
    assert [path.parent.parent.name for path in outcome.folders] == ['scratch']
    assert not outcome.pretrainings
    outcome, _ = compare(inits={})
    assert not outcome.folders and len(outcome.failures) == 1


@pytest.mark.slow
def test_a_pretraining_that_failed_before_is_not_tried_once_more(compare, tmp_path):
    crash = tmp_path / 'w/mine/crash'
    crash.parent.mkdir()
    crash.touch()
    first, _ = compare(inits={})
    crash.unlink()
    second, said = compare(failed_before=first.failures)
    assert second.failures == first.failures and not second.pretrainings
    assert [path.parent.parent.name for path in second.folders] == ['scratch']
    assert not any('mine' in line for line in said)


@pytest.mark.slow
def test_a_checkpoint_that_was_changed_after_pretraining_is_refused(compare, tmp_path):
    compare()
    (tmp_path / 'w/mine/pretraining/best_hsjp_placed_iter_20.pth').write_bytes(
        (tmp_path / 'w/mine/pretraining/iter_20.pth').read_bytes()
    )
    with pytest.raises(ValueError, match=r'is not the file that .*result\.json recorded'):
        compare()


def test_what_would_fail_later_is_found_before_the_pretraining_runs(compare, tmp_path):
    for options, message in (
        (dict(metric='my/score'), 'more of it better, or less'),
        (dict(inits={'mine': None}), 'different names'),
        (dict(fractions=[2.0]), 'must be in'),
    ):
        with pytest.raises(ValueError, match=message):
            compare(**options)
    assert not (tmp_path / 'w/mine').exists()
