from hsjp_mm.utils.schedules import mismatches, warn_of_schedules


def found(*schedulers: dict, **train) -> list[str]:
    return list(mismatches(dict(train_cfg=train, param_scheduler=list(schedulers))))


def test_what_does_not_go_with_the_length_is_named():
    steps = dict(type='MultiStepLR', milestones=[90, 190], by_epoch=True)
    assert found(steps, max_epochs=100) == [
        'train_cfg.max_epochs=100 does not go with param_scheduler[0].milestones=[90, 190], of '
        'which 190 never come'
    ]
    assert found(steps, max_epochs=191) == found(steps, max_iters=100) == []
    warm_up = dict(type='LinearLR', begin=0, end=10)
    cosine = dict(type='CosineAnnealingLR', begin=10, T_max=190)
    assert found(warm_up, cosine, max_epochs=200) == []
    (text,) = found(warm_up, cosine, max_epochs=100)
    assert 'param_scheduler[1].T_max=190, with which the cosine from 10 does not come down' in text
    (text,) = found(warm_up, cosine, max_epochs=300)
    assert text.endswith('rises again from there')
    assert found(dict(cosine, end=200), max_epochs=300) == []
    (text,) = found(dict(warm_up, end=500, by_epoch=False), max_iters=400)
    assert 'param_scheduler[0].end=500, to which it does not come' in text


def test_one_scheduler_several_optimizers_and_no_training():
    steps = dict(type='MultiStepLR', milestones=[5])
    assert len(list(mismatches(dict(train_cfg=dict(max_epochs=3), param_scheduler=steps)))) == 1
    assert not list(mismatches(dict(train_cfg=dict(max_epochs=3), param_scheduler={'a': [steps]})))
    assert not list(mismatches(dict(train_cfg=None, param_scheduler=steps)))
    assert not list(mismatches({}))


def test_it_is_a_warning_in_the_log(log_file):
    steps = dict(type='MultiStepLR', milestones=[5])
    warn_of_schedules(dict(train_cfg=dict(max_epochs=3), param_scheduler=[steps]))
    assert 'of which 5 never come' in log_file.read_text()
