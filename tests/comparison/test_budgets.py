"""A longer budget for some initialisations."""

import copy

import pytest
from mmengine.config import Config

from hsjp_mm.comparison.budgets import budget_of, lengthen, parse_longer, stretch
from hsjp_mm.comparison.fine_tuning_config import differences, protocol_of
from hsjp_mm.comparison.plan import plan
from tests.helpers import ROOT


def test_the_studys_schedule_is_doubled_as_its_leaf_does():
    folder = ROOT / 'configs/mesh'
    config = Config.fromfile(folder / 'pare_res50_4xb16-120e_h36m-coco-224x224.py')
    doubled = Config.fromfile(folder / 'pare_res50_scratch-4xb16-240e_h36m-coco-224x224.py')
    lengthen(config, 2)
    assert budget_of(config) == 2
    for key in ('train_cfg', 'param_scheduler'):
        assert config[key] == doubled[key]


def test_every_count_of_a_schedule_is_stretched_and_nothing_else():
    config = Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=500, val_interval=50),
            param_scheduler=dict(
                generator=[
                    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
                    dict(type='CosineAnnealingLR', begin=20, end=500, T_max=480, eta_min=1),
                ]
            ),
        )
    )
    before = copy.deepcopy(config)
    lengthen(config, 1)
    assert config.to_dict() == before.to_dict() and budget_of(config) == 1
    lengthen(config, 3)
    assert config.train_cfg == dict(type='IterBasedTrainLoop', max_iters=1500, val_interval=50)
    assert config.param_scheduler.generator == [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=60, by_epoch=False),
        dict(type='CosineAnnealingLR', begin=60, end=1500, T_max=1440, eta_min=1),
    ]


def test_a_longer_run_has_the_protocol_of_the_others(config, tmp_path):
    inits = {'scratch': None, 'twice': None}
    once, twice = plan(config, inits, [1.0], [0], tmp_path, longer={'twice': 2})
    assert (once.iterations, twice.iterations) == (20, 40)
    assert twice.config.train_cfg.max_iters == 40
    assert [s.milestones for s in twice.config.param_scheduler] == [[640, 744]]
    assert once.recipe['protocol'] == twice.recipe['protocol'] == protocol_of(twice.config)
    assert list(differences(once.recipe, twice.recipe)) == ['budget: absent, 2']


def test_a_longer_budget_that_nobody_has_is_refused(config, tmp_path):
    for longer, message in (
        ({'other': 2}, 'longer: other must be an initialisation, one of scratch'),
        ({'scratch': 1.5}, r'longer: scratch=1\.5 must be a whole number'),
    ):
        with pytest.raises(ValueError, match=message):
            plan(config, {'scratch': None}, [1.0], [0], tmp_path, longer=longer)


@pytest.mark.parametrize('text', ['twice', 'twice=', '=2', 'twice=1', 'twice=2.0', 'twice=-2'])
def test_bad_texts(text):
    with pytest.raises(ValueError, match='must be NAME=TIMES'):
        parse_longer(text)
    assert parse_longer('twice=2') == ('twice', 2)


def test_steps_and_periods_are_counts_too():
    schedules = [
        dict(type='StepLR', step_size=10),
        dict(type='CosineRestartLR', periods=[10, 30], restart_weights=[1, 0.5]),
    ]
    config = Config(dict(train_cfg=dict(max_epochs=40), param_scheduler=schedules))
    lengthen(config, 2)
    assert config.param_scheduler == [
        dict(type='StepLR', step_size=20),
        dict(type='CosineRestartLR', periods=[20, 60], restart_weights=[1, 0.5]),
    ]


@pytest.mark.parametrize(
    ('begin', 'end', 'times', 'stretched'),
    [(0, 1, 0.5, (0, 1)), (6, 7, 0.25, (2, 3)), (0, 3, 0.5, (0, 2)), (1, 2, 0.1, (0, 1))],
)
def test_nothing_that_lasts_is_stretched_away(begin, end, times, stretched):
    warm_up = dict(type='LinearLR', begin=begin, end=end, by_epoch=True)
    config = Config(dict(train_cfg=dict(max_epochs=2), param_scheduler=[warm_up]))
    stretch(config, times)
    assert (config.param_scheduler[0].begin, config.param_scheduler[0].end) == stretched
    assert config.train_cfg.max_epochs == max(1, round(2 * times))
