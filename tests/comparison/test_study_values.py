"""What the values of a study's file must be."""

import pytest

from hsjp_mm.comparison.study import DEFAULTS
from hsjp_mm.comparison.study_values import KINDS, check_values

SMALL = {
    **DEFAULTS,
    'title': 'Small',
    'metric': 'coco/AP',
    'fine_tunings': dict(
        Pose=dict(config='mine.py', starts=['scratch', 'twice', 'hsjp'], labels=[1]),
        Again=dict(config='mine.py', starts=('scratch',), rule='less', options={}),
    ),
    'pretrainings': dict(hsjp=dict(config='hsjp.py', options={'train_cfg.max_iters': 9})),
    'inits': dict(scratch=None, twice=None),
    'longer': dict(twice=2),
    'toy_bodies': {'data/toy/': dict(num_train=2, num_val=1)},
    'published': dict(Pose=dict(scratch={1: 73.4, 0.1: 50})),
    'measured_on': 'x',
    'labelling': dict(scratch={}, hsjp=dict(boxes=9)),
    'seconds': dict(box=7),
}


def test_all_values_of_a_study_are_checked():
    check_values(SMALL)
    assert KINDS.keys() == SMALL.keys()


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        # types
        (dict(title=2026), 'title=2026 must be text, in quotes'),
        (dict(fine_tuning_budget=0), 'fine_tuning_budget=0 must be a number above 0'),
        (dict(pretraining_budget='half'), "pretraining_budget='half' must be a number above 0"),
        (dict(seeds=3), 'seeds=3 must be a list of whole numbers'),
        (dict(seeds=[0.5]), r'seeds=\[0\.5\] must be a list of whole numbers'),
        (dict(labels=0.1), r'labels=0\.1 must be a list of numbers'),
        (dict(rule='more'), "rule='more' must be greater or less"),
        (dict(longer=dict(twice='two')), r"longer=\{'twice': 'two'\} must be whole numbers"),
        (dict(inits=['scratch']), r"inits=\['scratch'\] must be a dictionary by name"),
        (dict(inits=dict(scratch=1, twice=None)), r"inits\['scratch'\]=1 must be the path or add"),
        (dict(pretrainings=['hsjp']), r"pretrainings=\['hsjp'\] must be a dictionary by name"),
        (dict(pretrainings=dict(hsjp=dict(options={}))), r"pretrainings\['hsjp'\]=.*have the keys"),
        (dict(pretrainings=dict(hsjp=3)), r"pretrainings\['hsjp'\]=3 must be the path of a config"),
        (dict(fine_tunings=['A']), r"fine_tunings=\['A'\] must be a dictionary by name"),
        (dict(fine_tunings={}), r'fine_tunings=\{\} must be a dictionary by name, of one or more'),
        (
            dict(fine_tuning_options=['x=1']),
            'fine_tuning_options=.* must be a dictionary of values',
        ),
        (
            dict(toy_bodies=dict(toy=dict(num_trian=3))),
            r"toy_bodies\['toy'\]: num_trian must be one",
        ),
        (dict(toy_bodies=dict(toy={})), r"toy_bodies\['toy'\]: num_train, num_val must be given"),
        (dict(labelling=dict(hsjp=dict(boxes='many'))), 'labelling=.*many.* must be whole numbers'),
        (dict(seconds=dict(box='long')), 'seconds=.*long.* must be numbers by kind'),
        # fine-tunings
        (dict(fine_tunings={'a': dict(config='x')}), "'a'.* the keys config and starts, and no"),
        (
            dict(fine_tunings={'a': dict(config='x', starts=['scratch'], seeds=[1])}),
            "'a'.* no others but labels, metric, rule, options",
        ),
        (
            dict(fine_tunings={'a': dict(config='x', starts='scratch')}),
            r"fine_tunings\['a'\]: starts='scratch' must be a list of names",
        ),
        # names
        (
            dict(fine_tunings={'a b': dict(config='x', starts=[])}),
            "'a b' must be a name of letters",
        ),
        (
            dict(inits={'../../esc': None}),
            r"inits: the name '\.\./\.\./esc' must be a name of lett",
        ),
        (dict(inits={'..': None}), r"inits: the name '\.\.' must be .* neither \. nor \.\."),
        (dict(inits={2: None}), 'inits: the name 2 must be text, so put it in quotes'),
        (dict(inits=dict(hsjp=None)), 'inits: hsjp must not be among the pretrainings, too'),
        (
            dict(toy_bodies={f'{name}/toy/': dict(num_train=2, num_val=1) for name in 'ab'}),
            "toy_bodies: 'a/toy/' and 'b/toy/' must end in different names, .* into data/toy",
        ),
        # what they name
        (
            dict(fine_tunings={'a': dict(config='x', starts=['scratch', 'hsjb'])}),
            "'a'.* starts from hsjb, which must be one of scratch, twice, hsjp",
        ),
        (dict(longer={'Twice': 2}), 'longer: Twice, which must be one of scratch, twice, hsjp'),
        (dict(labelling=dict(hsjb={})), 'labelling: hsjb, which must be one of scratch, twice, h'),
        (dict(published=dict(B={})), 'published: B, which must be one of Pose, Again'),
        (
            dict(published=dict(Pose=dict(hsjb={1.0: 2})), measured_on='x'),
            r"published\['Pose'\]: hsjb, which must be one of scratch, twice, hsjp",
        ),
    ],
)
def test_mistakes(values, message):
    with pytest.raises(ValueError, match=message):
        check_values({**SMALL, **values})
