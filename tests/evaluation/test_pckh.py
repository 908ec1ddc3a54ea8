"""Letters as in the module under test."""

import json
import multiprocessing
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.datasets.datasets import MpiiDataset
from mmpose.evaluation import MpiiPCKAccuracy
from scipy.io import savemat

from hsjp_mm.evaluation import PCKh, pckh
from hsjp_mm.evaluation.pck import COLUMNS
from hsjp_mm.evaluation.pckh import read_visibility
from tests.helpers import SHARED, leave_group

MPII = SHARED / 'mpii'
real_data = pytest.mark.skipif(not MPII.is_dir(), reason='../shared/data/mpii is absent')
META = {'keypoint_name2id': MpiiDataset(lazy_init=True).metainfo['keypoint_name2id']}
NAMES = list(META['keypoint_name2id'])
COLUMN_JOINTS = {
    'head': [9], 'shoulder': [12, 13], 'elbow': [11, 14], 'wrist': [10, 15], 'hip': [2, 3],
    'knee': [1, 4], 'ankle': [0, 5],
}  # fmt: skip
HEAD = 40.0


def pose(head: float = HEAD) -> np.ndarray:
    """Joints (16, 2) whose head size is ``head``."""
    joints = np.stack([np.arange(16) * 20.0 + 100, np.arange(16) * 5.0 + 50], axis=1)
    joints[9] = joints[8] + np.array([0.6, -0.8]) * head / 0.75
    return joints


def person(truth, found, labelled=None, head=HEAD, row=0) -> dict:
    gt = {
        'keypoints': np.asarray(truth)[None],
        'keypoints_visible': np.ones((1, 16)) if labelled is None else np.asarray(labelled)[None],
    }
    if head is not None:
        gt['head_size'] = np.array([[head]])
    return {'id': row, 'gt_instances': gt, 'pred_instances': {'keypoints': np.asarray(found)[None]}}


def evaluate(samples: list[dict], metric=None) -> dict:
    metric = PCKh() if metric is None else metric
    metric.dataset_meta = META
    for start in range(0, len(samples), 2):
        metric.process({}, samples[start : start + 2])
    return metric.evaluate(len(samples))


def moved(joints: np.ndarray, by: dict[int, tuple[float, float]]) -> np.ndarray:
    joints = joints.copy()
    for joint, offset in by.items():
        joints[joint] += offset
    return joints


def slow(truth, found, counted, heads) -> dict[str, float]:
    """The values written from the definitions, in loops."""
    hits: list[list[bool]] = [[] for _ in range(16)]
    for t, f, c, head in zip(truth, found, counted, heads, strict=True):
        for k in range(16):
            if c[k]:
                hits[k].append(bool(np.hypot(*(f[k] - t[k])) / head <= 0.5))
    share = {k: 100 * sum(hits[k]) / len(hits[k]) for k in range(16) if hits[k]}
    values = {}
    for column, joints in COLUMN_JOINTS.items():
        some = [share[k] for k in joints if k in share]
        if some:
            values[column] = sum(some) / len(some)
    rest = [hit for k in range(16) if k not in (6, 7) for hit in hits[k]]
    values['mean'] = 100 * sum(rest) / len(rest)
    hard = [share[k] for k in (0, 1, 2, 3, 4, 5, 10, 11, 14, 15) if k in share]
    values['hard'] = sum(hard) / len(hard)
    values['all_joints'] = sum(share.values()) / len(share)
    return values


def random_people(number: int, seed: int = 0):
    """Joints, predictions, labels and head sizes; about half of the joints are found."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 500, (number, 16, 2))
    heads = rng.uniform(20, 90, number)
    distance = rng.uniform(0, 1, (number, 16, 1)) * heads[:, None, None]
    angle = rng.uniform(0, 2 * np.pi, (number, 16, 1))
    found = truth + distance * np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    return truth, found, rng.random((number, 16)) < 0.7, heads


def test_a_joint_at_exactly_half_a_head_is_right():
    truth = pose()
    at = {10: (20.0, 0.0), 15: (12.0, 16.0)}  # 20 pixels are 0.5 of 40
    beyond = {10: (20.001, 0.0), 15: (12.0, 16.001)}
    assert evaluate([person(truth, moved(truth, at))])['pckh/wrist'] == 100
    assert evaluate([person(truth, moved(truth, beyond))])['pckh/wrist'] == 0


def test_columns_and_means_by_hand():
    truth = pose()
    far = (100.0, 0.0)
    wrong = [
        moved(truth, {9: far, 12: far, 6: far}),  # head top, right shoulder, pelvis
        moved(truth, {0: far, 5: far, 7: far}),  # both ankles, thorax
    ]
    labelled = np.ones((2, 16))
    labelled[1, 13] = 0  # of the second person
    values = evaluate([person(truth, f, seen) for f, seen in zip(wrong, labelled, strict=True)])
    assert values['pckh/head'] == 50
    assert values['pckh/shoulder'] == 75  # right 50, left 100
    assert values['pckh/ankle'] == 50
    assert [values[f'pckh/{c}'] for c in ('elbow', 'wrist', 'hip', 'knee')] == [100] * 4
    # 14 joints of two persons less one; wrong: head top, shoulder, two ankles
    assert values['pckh/mean'] == pytest.approx(100 * 23 / 27)
    assert values['pckh/hard'] == pytest.approx((4 * 100 + 50) / 5)
    # wrong half of the time: head top, right shoulder, pelvis, ankles, thorax
    assert values['pckh/all_joints'] == pytest.approx((10 * 100 + 6 * 50) / 16)


@pytest.mark.parametrize('seed', [0, 1])
def test_all_rows_against_a_slow_loop(monkeypatch, seed):
    truth, found, labelled, heads = random_people(60, seed)
    visible = np.random.default_rng(9).random(labelled.shape) < 0.6
    monkeypatch.setattr(pckh, 'read_visibility', lambda _: (np.floor(truth), visible))
    people = zip(truth, found, labelled, heads, strict=True)
    samples = [person(*one, row=row) for row, one in enumerate(people)]
    values = evaluate(samples, PCKh(visibility_file='flags.h5'))

    flagged = labelled.copy()
    flagged[:, [8, 9]] = False
    expected = {f'pckh/{key}': v for key, v in slow(truth, found, labelled, heads).items()}
    for row, counted in (('visible', flagged & visible), ('invisible', flagged & ~visible)):
        for key, value in slow(truth, found, counted, heads).items():
            expected[f'pckh/{row}/{key}'] = value
    assert values == pytest.approx(expected)
    assert 'pckh/visible/head' not in values and 'pckh/invisible/head' not in values
    assert 30 < values['pckh/invisible/mean'] < 70


def test_equals_stock_where_both_measure_the_same():
    truth, found, labelled, heads = random_people(300)
    ours = evaluate([person(*one) for one in zip(truth, found, labelled, heads, strict=True)])
    # stock adds a pixel to the predictions
    stock = evaluate(
        [person(*one) for one in zip(truth, found - 1, labelled, heads, strict=True)],
        MpiiPCKAccuracy(),
    )
    for column in COLUMN_JOINTS:
        assert ours[f'pckh/{column}'] == pytest.approx(stock[f'{column.capitalize()} PCK'])
    assert ours['pckh/mean'] == pytest.approx(stock['PCK'])


def test_a_tenth_of_a_head_equals_stock():
    truth, found, labelled, heads = random_people(300)
    ours = evaluate(
        [person(*one) for one in zip(truth, found, labelled, heads, strict=True)], PCKh(thr=0.1)
    )
    stock = evaluate(
        [person(*one) for one in zip(truth, found - 1, labelled, heads, strict=True)],
        MpiiPCKAccuracy(),
    )
    assert ours['pckh/mean'] == pytest.approx(stock['PCK@0.1'])


def test_what_stock_does_otherwise():
    truth = pose()
    nearly = moved(truth, {10: (19.5, 0.0), 15: (19.5, 0.0)})
    assert evaluate([person(truth, nearly)])['pckh/wrist'] == 100
    assert evaluate([person(truth, nearly)], MpiiPCKAccuracy())['Wrist PCK'] == 0  # 20.5 for it
    at = moved(truth, {10: (20.0, 0.0), 15: (20.0, 0.0)})
    assert evaluate([person(truth, at - 1)], MpiiPCKAccuracy())['Wrist PCK'] == 0
    one_sided = np.ones(16)
    one_sided[10] = 0
    stock = evaluate([person(truth, truth, one_sided)], MpiiPCKAccuracy())
    assert stock['Wrist PCK'] == 0  # (100 - 100) / 2
    assert evaluate([person(truth, truth, one_sided)])['pckh/wrist'] == 100


def test_missing_predictions_are_misses():
    truth = pose()
    gaps = moved(truth, {1: (np.nan, np.nan)})
    nobody = person(truth, truth)
    nobody['pred_instances'] = {'keypoints': np.zeros((0, 16, 2))}
    values = evaluate([person(truth, truth), person(truth, gaps), nobody])
    assert values['pckh/knee'] == pytest.approx((100 / 3 + 200 / 3) / 2)
    assert values['pckh/hip'] == pytest.approx(200 / 3)


def test_what_nobody_has_is_left_out_and_logged(monkeypatch, log_file):
    truth = pose()
    labelled = np.ones(16)
    labelled[[0, 5]] = 0
    monkeypatch.setattr(
        pckh, 'read_visibility', lambda _: (np.floor(truth)[None], np.arange(16)[None] != 3)
    )
    values = evaluate([person(truth, truth, labelled)], PCKh(visibility_file='flags.h5'))
    assert 'pckh/ankle' not in values and values['pckh/hard'] == 100
    invisible = {key for key in values if key.startswith('pckh/invisible/')}
    assert invisible == {f'pckh/invisible/{key}' for key in ('hip', 'mean', 'hard', 'all_joints')}
    log = log_file.read_text()
    assert 'left out: all ankle, visible ankle, invisible shoulder, invisible elbow' in log
    assert 'invisible head' not in log  # nobody expects it


def test_no_visible_or_invisible_joint_at_all(monkeypatch):
    truth = pose()
    for flag, row, other in ((1, 'visible', 'invisible'), (0, 'invisible', 'visible')):
        flags = np.full((1, 16), bool(flag))
        monkeypatch.setattr(
            pckh, 'read_visibility', lambda _, flags=flags: (np.floor(truth)[None], flags)
        )
        values = evaluate([person(truth, truth)], PCKh(visibility_file='flags.h5'))
        assert values[f'pckh/{row}/mean'] == 100
        assert not [key for key in values if key.startswith(f'pckh/{other}/')]


def test_the_log_shows_the_columns_of_the_paper(monkeypatch, log_file):
    truth = pose()
    visible = np.ones((1, 16), bool)
    visible[0, 15] = False
    monkeypatch.setattr(pckh, 'read_visibility', lambda _: (np.floor(truth)[None], visible))
    evaluate([person(truth, moved(truth, {15: (60.0, 0.0)}))], PCKh(visibility_file='flags.h5'))
    lines = log_file.read_text().split('\n')
    start = next(i for i, line in enumerate(lines) if line.endswith('PCKh@0.5 of 1 persons'))
    header, every, seen, hidden = (line.split() for line in lines[start + 1 : start + 5])
    assert header == [*COLUMNS.values(), 'Hard', 'Every']
    assert every[:5] == ['all', '100.00', '100.00', '100.00', '50.00']
    assert seen[:5] == ['visible', '–', '100.00', '100.00', '100.00']
    assert hidden[:6] == ['invisible', '–', '–', '–', '0.00', '–']


def test_head_size_from_the_head(log_file):
    truth = pose(61.0)
    headless = np.ones(16)
    headless[9] = 0
    found = moved(truth, {0: (30.5, 0.0), 5: (30.6, 0.0)})
    samples = [person(truth, found, head=None), person(truth, found, headless, head=None)]
    values = evaluate(samples)
    assert values['pckh/ankle'] == 50 and values['pckh/head'] == 100
    assert '1 of 2 persons left out: their head is not labelled' in log_file.read_text()
    assert 'whole pixels' not in log_file.read_text()
    assert evaluate(samples[1:]) == {}


def test_no_head_size_from_whole_pixels(log_file):
    whole = pose(60.0)
    assert (whole == np.round(whole)).all()
    half = whole + np.array([0.0, 0.5])  # a fraction in one coordinate is enough
    far = moved(whole, {0: (99.0, 0.0)})
    values = evaluate([person(whole, far, head=None), person(half, half, head=None)])
    assert values['pckh/ankle'] == 100
    log = log_file.read_text()
    assert '1 of 2 persons left out: their head is annotated to whole pixels only' in log
    assert 'PCKh@0.5 of 1 persons' in log and 'not labelled' not in log
    # with head boxes they count
    assert evaluate([person(whole, far), person(half, half)])['pckh/ankle'] == 75


@pytest.mark.parametrize('thr', [0, -0.5])
def test_threshold_must_be_positive(thr):
    with pytest.raises(ValueError, match=f'thr={thr} head sizes must be positive'):
        PCKh(thr=thr)


def test_refused_head_sizes_and_files(tmp_path):
    with pytest.raises(ValueError, match=r'head_size=0\.0 pixels of person 7 must be positive'):
        evaluate([person(pose(), pose(), head=0.0, row=7)])
    with pytest.raises(FileNotFoundError, match=r'visibility_file=.*flags\.h5'):
        PCKh(visibility_file=str(tmp_path / 'flags.h5'))


def test_visibility_of_other_persons_is_refused(monkeypatch):
    truth = pose()
    flags = np.ones((1, 16), bool)
    monkeypatch.setattr(pckh, 'read_visibility', lambda _: (np.floor(truth)[None], flags))
    metric = PCKh(visibility_file='flags.h5')
    for sample in (person(truth + 1, truth), person(truth, truth, row=1)):
        with pytest.raises(ValueError, match='is another than row'):
            evaluate([sample], metric)


def _half(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2
    )
    truth, found, labelled, heads = random_people(11)
    metric = PCKh()
    metric.dataset_meta = META
    for row in range(rank, 12, 2):  # the sampler repeats the first where the numbers are odd
        n = row % 11
        metric.process({}, [person(truth[n], found[n], labelled[n], heads[n], row=n)])
    values = metric.evaluate(11)
    Path(folder, f'{rank}.json').write_text(json.dumps(values))
    leave_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    people = zip(*random_people(11), strict=True)
    expected = evaluate([person(*one, row=row) for row, one in enumerate(people)])
    # a fork of this process may hang: torch's threads are not copied
    context = multiprocessing.get_context('forkserver')
    processes = [
        context.Process(target=_half, args=(r, str(tmp_path)), daemon=True) for r in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(2):
        assert json.loads((tmp_path / f'{rank}.json').read_text()) == pytest.approx(expected)


class Oracle(BaseModel):
    """Predicts the annotated joints, but a joint of each person far away."""

    def __init__(self, wrong: int = 15):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.wrong = wrong

    def forward(self, inputs, data_samples, mode):
        if mode == 'loss':
            return {'loss': self.weight.sum() ** 2}
        for sample in data_samples:
            found = np.array(sample.gt_instances.keypoints)
            found[:, self.wrong] += 500
            sample.pred_instances = InstanceData(keypoints=found)
        return data_samples


def mpii_loader(**options) -> dict:
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(32, 32)),
        dict(type='PackPoseInputs'),
    ]
    dataset = dict(
        type='MpiiDataset', data_root=str(MPII), ann_file='test_mpii.json',
        data_prefix=dict(img='images'), test_mode=True, pipeline=pipeline, **options,
    )  # fmt: skip
    sampler = dict(type='DefaultSampler', shuffle=False)
    return dict(batch_size=2, num_workers=0, sampler=sampler, dataset=dataset)


def mpii_runner(tmp_path, evaluator, **options) -> Runner:
    return Runner(
        Oracle(), str(tmp_path), val_dataloader=mpii_loader(**options), val_cfg=dict(),
        val_evaluator=evaluator, default_scope='mmpose', experiment_name=tmp_path.name,
    )  # fmt: skip


@pytest.mark.slow
@real_data
def test_runner_with_the_stock_data_set_saves_the_best(tmp_path):
    runner = Runner(
        Oracle(), str(tmp_path), train_dataloader=mpii_loader(), val_dataloader=mpii_loader(),
        train_cfg=dict(by_epoch=True, max_epochs=1), val_cfg=dict(),
        val_evaluator=dict(type='hsjp_mm.PCKh'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), default_scope='mmpose',
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', save_best='pckh/mean', rule='greater')
        ),
        experiment_name=tmp_path.name,
    )  # fmt: skip
    runner.train()
    assert list(tmp_path.glob('best_pckh_mean_epoch_1.pth'))
    values = runner.val()
    assert values['pckh/wrist'] == 50
    # two of the five persons have no ankles
    assert values['pckh/mean'] == pytest.approx(100 * (5 * 14 - 4 - 5) / (5 * 14 - 4))
    assert values['pckh/hard'] == pytest.approx(90)


@pytest.mark.slow
@real_data
def test_runner_beside_stock_with_head_boxes(tmp_path):
    people = json.loads((MPII / 'test_mpii.json').read_text())
    heads = np.array([np.subtract(*np.array(p['joints'])[[9, 8]]) for p in people]) / 0.8
    boxes = np.stack([np.zeros((2, 5)), heads.T])  # corner, x or y, person
    savemat(tmp_path / 'boxes.mat', {'headboxes_src': boxes})
    metrics = [dict(type='hsjp_mm.PCKh'), dict(type='MpiiPCKAccuracy')]
    values = mpii_runner(tmp_path, metrics, headbox_file=str(tmp_path / 'boxes.mat')).val()
    assert values['pckh/mean'] == pytest.approx(values['PCK'])
    assert values['pckh/wrist'] == pytest.approx(values['Wrist PCK']) == 50


@real_data
def test_head_sizes_of_the_real_annotations():
    people = json.loads((MPII / 'test_mpii.json').read_text())
    names = META['keypoint_name2id']
    derived = [
        pckh.head_size(np.array([p['joints']]), np.array([p['joints_vis']]), names) for p in people
    ]
    # `normalize` of the first rows of valid.h5
    given = [117.96219733, 44.04588517, 78.48082568, 81.22191822, 84.36989985]
    assert derived == pytest.approx(given, abs=1e-4)


@real_data
def test_derived_head_sizes_of_the_validation_split():
    """Of the persons of ``valid.h5`` whose joints are in the CSV files, not cut to whole pixels."""
    uncut: dict[str, list[np.ndarray]] = {}
    for part in ('train', 'test'):
        for line in (MPII / f'joints_{part}.csv').read_text().splitlines():
            name, *values = line.split(',')
            uncut.setdefault(name, []).append(np.array(values, float).reshape(16, 2))
    with h5py.File(MPII / 'valid.h5', 'r') as file:
        rows = [np.array(file[key]) for key in ('imgname', 'part', 'normalize')]
    sizes = []
    for name, joints, size in zip(*rows, strict=True):
        same = [one for one in uncut.get(name.decode(), []) if abs(one - joints).max() < 2]
        if same:
            derived = pckh.head_size(same[0][None], np.ones((1, 16)), META['keypoint_name2id'])
            sizes.append((derived, 0.75 * np.hypot(*(same[0][9] - same[0][8])), float(size)))
    derived, of_all, given = np.array(sizes).T
    none = np.isnan(derived)
    assert len(derived) == 2017 and none.sum() == 121
    np.testing.assert_allclose(derived[~none], given[~none], rtol=1e-5)
    # what it would be off by
    error = abs(of_all[none] / given[none] - 1)
    assert (error >= 0.01).sum() == 35 and error.max() < 0.033


@real_data
def test_visible_and_invisible_joints_of_real_persons(tmp_path):
    joints, visible = read_visibility(str(MPII / 'valid.h5'))
    assert joints.shape == (2958, 16, 2) and visible.shape == (2958, 16)
    evaluator = dict(type='hsjp_mm.PCKh', visibility_file=str(MPII / 'valid.h5'))
    values = mpii_runner(tmp_path, evaluator).val()
    wrists = (joints[:5, [10, 15]] != 0).any(axis=2)
    assert values['pckh/wrist'] == 50
    # the wrong left wrist is hidden in some and seen in others
    for row, flags in (('visible', visible), ('invisible', ~visible)):
        there = (wrists & flags[:5, [10, 15]]).any(axis=0)
        expected = np.array([100.0, 0.0])[there].mean()
        assert values[f'pckh/{row}/wrist'] == expected


@real_data
def test_random_predictions_on_the_2958_persons_equal_stock():
    with h5py.File(MPII / 'valid.h5', 'r') as file:
        truth, heads = np.array(file['part']), np.array(file['normalize'])
    labelled = (truth != 0).any(axis=2)
    rng = np.random.default_rng(0)
    found = truth + rng.normal(0, 0.4, truth.shape) * heads[:, None, None]
    people = list(zip(truth, found, labelled, heads, strict=True))
    ours = evaluate(
        [person(*one, row=row) for row, one in enumerate(people)],
        PCKh(visibility_file=str(MPII / 'valid.h5')),
    )
    stock = evaluate([person(t, f - 1, *rest) for t, f, *rest in people], MpiiPCKAccuracy())
    assert ours['pckh/mean'] == pytest.approx(stock['PCK'])
    assert ours['pckh/ankle'] == pytest.approx(stock['Ankle PCK'])
    assert 40 < ours['pckh/invisible/mean'] < 65
