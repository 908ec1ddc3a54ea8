"""Studies: reading their files, and the comparisons that come of them."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from hsjp_mm.comparison.study import comparisons, moved, read_study, render_data
from tests.helpers import ROOT

TOY = ROOT / 'configs/study/toy-bodies.yml'
FINE_TUNING = ROOT / 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py'
SMALL = dict(
    title='Small',
    fine_tunings=dict(
        Pose=dict(
            config='mine.py',
            starts=['scratch', 'twice', 'hsjp'],
        ),
        Again=dict(config=str(FINE_TUNING), starts=['scratch']),
    ),
    pretrainings=dict(hsjp='hsjp_mm::demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py'),
    inits=dict(scratch=None, twice=None),
    longer=dict(twice=2),
    labels=[0.5],
    seeds=[3],
    metric='coco/AP',
    toy_bodies={'data/toy/': dict(num_train=2, num_val=1)},
    fine_tuning_options={'train_cfg.max_iters': 7},
    pretraining_options={'train_cfg.max_iters': 9},
)


@pytest.fixture
def write(tmp_path):
    """A function that writes a study beside a config of its own."""
    (tmp_path / 'mine.py').write_text(f"_base_ = ['{FINE_TUNING}']")

    def write_study(**values) -> str:
        path = tmp_path / 'study.yml'
        given = {k: v for k, v in {**SMALL, **values}.items() if v != 'absent'}
        path.write_text(yaml.safe_dump(given, sort_keys=False))
        return str(path)

    return write_study


def test_a_study_is_a_comparison_for_each_fine_tuning(write, tmp_path):
    found = comparisons(read_study(write()), tmp_path / 'out')
    assert list(found) == ['Pose', 'Again']
    pose, again = found.values()
    assert pose.inits == {'scratch': None, 'twice': None} and list(pose.pretrainings) == ['hsjp']
    assert (pose.longer, again.longer) == ({'twice': 2}, {})
    assert again.inits == {'scratch': None} and not again.pretrainings
    assert (pose.fractions, pose.seeds, pose.metric) == ([0.5], [3], 'coco/AP')
    assert pose.work_dir == tmp_path / 'out/Pose'
    assert pose.pretraining_dir == again.pretraining_dir == tmp_path / 'out/pretrainings'
    assert pose.config.train_cfg.max_iters == 7
    pretraining = pose.pretrainings['hsjp']
    assert pretraining.train_cfg.max_iters == 9
    data = f'{tmp_path}/out/data/toy/'
    for config in (pose.config, pretraining):
        assert config.train_dataloader.dataset.data_root == data
        assert config.val_dataloader.dataset.data_root == data
    assert pose.config.val_evaluator.ann_file == f'{data}annotations/person_keypoints_val.json'


def test_trainings_may_get_a_share_of_their_budget(write, tmp_path):
    budgets = dict(fine_tuning_budget=3, pretraining_budget=0.5)
    path = write(fine_tuning_options={}, pretraining_options={}, **budgets)
    found = comparisons(read_study(path), tmp_path)['Pose']
    assert found.config.train_cfg.max_iters == 1200
    pretraining = found.pretrainings['hsjp']
    assert pretraining.train_cfg.to_dict() == dict(
        type='IterBasedTrainLoop', max_iters=500, val_interval=100
    )
    assert pretraining.param_scheduler[0].milestones == [400, 465]


def test_trainings_may_differ_in_options_labels_and_measure(write, tmp_path):
    hsjp, options = SMALL['pretrainings']['hsjp'], {'train_cfg.val_interval': 5}
    few = dict(config=hsjp, options={'train_dataloader.dataset.fraction': 0.5})
    own = dict(starts=['hsjp', 'few'], labels=[1.0], metric='coco/AR', options=options)
    shared = dict(config='mine.py', starts=['few'])
    study = read_study(
        write(
            pretrainings=dict(hsjp=hsjp, few=few),
            fine_tunings=dict(Own=dict(config='mine.py', **own), Shared=shared),
        )
    )
    found = comparisons(study, tmp_path)
    one, other = found['Own'], found['Shared']
    assert (one.fractions, one.metric, study.metric_of('Own')) == ([1.0], 'coco/AR', 'coco/AR')
    assert (other.fractions, other.metric, study.metric_of('Shared')) == ([0.5], *['coco/AP'] * 2)
    assert one.config.train_cfg.val_interval == 5 and other.config.train_cfg.val_interval == 80
    assert one.config.train_cfg.max_iters == other.config.train_cfg.max_iters == 7
    datasets = {k: v.train_dataloader.dataset for k, v in one.pretrainings.items()}
    assert datasets['few'].fraction == 0.5 and 'fraction' not in datasets['hsjp']
    assert one.pretrainings['few'].train_cfg.max_iters == 9


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (dict(metric='absent'), r'study\.yml: metric must be set, of title, fine_tunings, metric'),
        (dict(seed=0), r'study\.yml: seed must be one of title, fine_tunings'),
        (dict(title=2026), r'study\.yml: title=2026 must be text, in quotes'),
    ],
)
def test_mistakes_in_the_file(values, message, write):
    with pytest.raises(ValueError, match=message):
        read_study(write(**values))


def test_checkpoints_and_pictures_are_seen_from_the_file(write, tmp_path, monkeypatch):
    inits = dict(
        scratch=None, near='weights/a.pth', far=str(tmp_path / 'b.pth'), web='https://x/c.pth',
        model='torchvision://resnet18',
    )  # fmt: skip
    own = dict(config='mine.py', starts=[*inits])
    bodies = {'data/toy/': dict(num_train=2, num_val=1, backgrounds='walls')}
    path = write(fine_tunings=dict(Pose=own), inits=inits, longer={}, toy_bodies=bodies)
    monkeypatch.chdir(tmp_path.parent)
    study = read_study(path)
    (found,) = comparisons(study, tmp_path / 'out').values()
    assert found.inits == {**inits, 'near': str(tmp_path / 'weights/a.pth')}
    rendered = {}
    monkeypatch.setattr(
        'hsjp_mm.datasets.toy_bodies.render',
        lambda folder, **options: rendered.update(options) or folder.mkdir(parents=True),
    )
    render_data(study, tmp_path / 'data')
    assert rendered['backgrounds'] == str(tmp_path / 'walls')


def test_starts_that_nothing_uses_are_told(write):
    study = read_study(write())
    assert study.unused() == []
    longer = {**dict(study.inits), 'more': None}
    assert read_study(write(inits=longer)).unused() == ['more']


def test_people_that_other_options_rendered_are_refused(write, tmp_path, monkeypatch):
    rendered = []

    def render(folder, num_train, num_val, seed=0, image_size=(8, 6), progress=iter, workers=1):
        rendered.append((num_train, workers))
        folder.mkdir(parents=True)

    monkeypatch.setattr('hsjp_mm.datasets.toy_bodies.render', render)

    def ask(workers=1, **options):
        bodies = {'data/toy/': dict(num_train=2, num_val=1, **options)}
        render_data(read_study(write(toy_bodies=bodies)), tmp_path / 'data', workers=workers)

    ask()
    ask(workers=2, seed=0, image_size=[8, 6])  # the same, said in another way
    message = r"toy_bodies\['data/toy/'\]: .*/data/toy was rendered by other.*now\): seed: 0, 1\."
    with pytest.raises(ValueError, match=message):
        ask(seed=1)
    assert rendered == [(2, 1)]
    (tmp_path / 'data/toy/options.json').unlink()
    ask(seed=1)  # by what it was rendered nothing says any more


def test_a_rule_goes_with_the_measure_it_is_said_of(write, tmp_path):
    own = dict(config='mine.py', starts=['scratch'])
    fine_tunings = dict(
        Shared=own, Own=dict(own, metric='my/other'), Both=dict(own, metric='a/b', rule='greater')
    )
    study = read_study(write(metric='my/measure', rule='less', fine_tunings=fine_tunings))
    found = {name: c.rule for name, c in comparisons(study, tmp_path).items()}
    assert found == {'Shared': 'less', 'Own': None, 'Both': 'greater'}
    assert read_study(write()).rule_of('Pose') is None


def test_only_paths_that_begin_so_are_moved():
    given = Config(
        dict(a='data/toy/x', b=['data/toy2/x', ('data/toy/', 1)], c=dict(d='my data/toy/'))
    )
    found = moved(given, {'data/toy/': 'out/'})
    assert found.to_dict() == dict(
        a='out/x', b=['data/toy2/x', ('out/', 1)], c=dict(d='my data/toy/')
    )
    assert given.a == 'data/toy/x'


@pytest.mark.parametrize('path', [TOY, TOY.with_name('toy-bodies-vit.yml')])
@pytest.mark.slow
def test_the_toy_studies_are_laid_out_whole(path, tmp_path):
    study = read_study(str(path))
    found = comparisons(study, tmp_path)
    for name, comparison in found.items():
        assert sorted([*comparison.inits, *comparison.pretrainings]) == sorted(study.starts(name))
        for config in (comparison.config, *comparison.pretrainings.values()):
            root = Path(config.train_dataloader.dataset.data_root)
            assert root.parent == tmp_path / 'data', config.filename
            assert config.model.backbone.type == comparison.config.model.backbone.type


@pytest.mark.slow
def test_the_study_on_photographs_is_laid_out_whole(tmp_path):
    study = read_study(str(ROOT / 'configs/study/lsp.yml'))
    studies = comparisons(study, tmp_path)
    for name, comparison in studies.items():
        starts = [*comparison.inits, *comparison.pretrainings]
        assert sorted(starts) == sorted(study.starts(name))
    found = studies['LSP']
    assert found.config.train_dataloader.dataset.split == 'train'
    assert found.config.val_dataloader.dataset.split == 'test'
    dataset = studies['COCO'].config.train_dataloader.dataset
    assert (dataset.data_root, dataset.indices) == ('data/coco/', None)
    crops = studies['crops'].pretrainings.values()
    assert [c.train_dataloader.dataset.get('num_samples') for c in crops] == [130, 500, 2000, None]
    hooks = [v.config.default_hooks.frozen for k, v in studies.items() if k.startswith('frozen')]
    assert [hook.layers for hook in hooks] == [list(range(n)) for n in range(1, 6)]
    for config in (*found.pretrainings.values(), *crops):
        assert config.train_cfg.max_iters == 3000
        assert config.model.backbone.type == found.config.model.backbone.type
        for part in ('train', 'val'):
            dataset = config[f'{part}_dataloader'].dataset
            assert (dataset.data_root, dataset.ann_file) == ('data/lspet/', f'{part}.json')
            assert dataset.data_prefix.img == 'images/'


@pytest.mark.parametrize('network', ['res18', 'vit'])
def test_the_study_on_photographs_with_other_networks(network, tmp_path):
    study = read_study(str(ROOT / f'configs/study/lsp-{network}.yml'))
    [(name, found)] = comparisons(study, tmp_path).items()
    assert sorted([*found.inits, *found.pretrainings]) == sorted(study.starts(name))
    size = found.config.train_dataloader.dataset.pipeline[4].input_size
    codec = found.config.model.head.decoder
    assert codec.input_size == size == tuple(4 * cells for cells in codec.heatmap_size)
    assert found.config.train_dataloader.dataset.pipeline[5].encoder.heatmap_size == (
        codec.heatmap_size
    )
    for config in found.pretrainings.values():
        assert config.train_cfg.max_iters == 3000
        assert config.model.backbone == found.config.model.backbone
        dataset = config.train_dataloader.dataset
        assert (dataset.data_root, dataset.ann_file) == ('data/lspet/', 'train.json')
        assert dataset.data_prefix.img == 'images/'
