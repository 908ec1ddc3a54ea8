"""Planning pretrainings and fine-tunings: nothing is run here."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from hsjp_mm.checkpoint.coverage import CheckpointError
from hsjp_mm.comparison.fine_tuning_config import differences, fraction_of, sha256_of
from hsjp_mm.comparison.plan import (
    parse_init,
    parse_pretraining,
    plan,
    plan_pretrainings,
    require_fitting,
)
from hsjp_mm.comparison.recipes import changes
from hsjp_mm.datasets.metainfo import metainfo_file
from hsjp_mm.utils.files import file_sha256


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


@pytest.mark.parametrize('text', ['hsjp', 'hsjp=', '=a.pth', 'a/b=c.pth', 'a b=c.pth', '..=a.pth'])
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


@pytest.mark.parametrize('own', [[], [dict(type='SyncBuffersHook')], 'absent'])
def test_a_config_without_seed_hook_gets_it(own, config, pretraining, tmp_path):
    added = dict(type='hsjp_mm.SeedHook')
    for given in (config, pretraining):
        if own == 'absent':
            given.pop('custom_hooks')
        else:
            given.custom_hooks = own
    (fine_tuning,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    (stage,) = plan_pretrainings({'hsjp': pretraining}, tmp_path)
    expected = [added] if own == 'absent' else [*own, added]
    for run in (fine_tuning, stage):
        assert run.config.custom_hooks == expected
    assert fine_tuning.recipe['protocol']['custom_hooks'] == expected


@pytest.mark.parametrize('name', ['hsjp_mm.SeedHook', 'EpochSeedHook'])
def test_a_seed_hook_stays_alone(name, config, tmp_path):
    config.custom_hooks = [dict(type=name)]
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    assert run.config.custom_hooks == [dict(type=name)]


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


@pytest.mark.slow
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
        (
            {'model.init_cfg': dict(type='Pretrained', checkpoint='pose.pth')},
            {},
            'model.init_cfg would initialise the whole model',
        ),
        ({}, dict(fractions=[0.001, 1.0]), 'fraction=0.001 makes 0 images'),
        ({'train_dataloader.dataset.type': dict}, {}, "type is <class 'dict'>"),
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


def test_a_pretraining_is_name_and_config():
    assert parse_pretraining('hsjp=a/b=c.py') == ('hsjp', 'a/b=c.py')
    for text in ('a.py', 'hsjp=', 'a/b=c.py'):
        with pytest.raises(ValueError, match='must be NAME=CONFIG'):
            parse_pretraining(text)


def test_a_pretraining_is_laid_out_once(pretraining, toy, tmp_path):
    (run,) = plan_pretrainings({'hsjp': pretraining}, tmp_path)
    assert run.folder == tmp_path / 'hsjp/pretraining'
    assert (run.iterations, run.metric) == (20, 'hsjp/placed')
    assert run.config.randomness.seed == 0 and pretraining.get('randomness', {}).get('seed') is None
    files = [f'{toy}/annotations/person_keypoints_{split}.json' for split in ('train', 'val')]
    assert run.recipe['data'] == {file: file_sha256(file) for file in files}
    pretraining.randomness = dict(seed=5)
    pretraining.optim_wrapper.optimizer.lr = 0.5
    (other,) = plan_pretrainings({'hsjp': pretraining}, tmp_path)
    assert changes(run.recipe, other.recipe) == [
        'settings.optim_wrapper.optimizer.lr: 0.001, 0.5', 'settings.randomness.seed: 0, 5',
    ]  # fmt: skip
    pretraining.load_from = 'nowhere.pth'
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        plan_pretrainings({'hsjp': pretraining}, tmp_path)


def test_a_folder_of_photographs_is_known_by_names_and_sizes(pretraining, tmp_path):
    for name, side in (('a.jpg', 20), ('b/c.png', 30)):
        (tmp_path / 'crops/b').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'crops' / name), np.zeros((side, side, 3), np.uint8))
    for loader in (pretraining.train_dataloader, pretraining.val_dataloader):
        loader.dataset.update(ann_file='', data_root='', data_prefix=dict(img=f'{tmp_path}/crops'))

    def hashes() -> dict:
        return plan_pretrainings({'a': pretraining}, tmp_path)[0].recipe['data']

    sizes = [(name, (tmp_path / 'crops' / name).stat().st_size) for name in ('a.jpg', 'b/c.png')]
    assert hashes() == {f'{tmp_path}/crops': sha256_of([list(pair) for pair in sizes])}
    before = hashes()
    cv2.imwrite(f'{tmp_path}/crops/d.jpg', np.zeros((9, 9, 3), np.uint8))
    assert hashes() != before
    pretraining.train_dataloader.dataset.data_prefix.img = f'{tmp_path}/gone'
    with pytest.raises(FileNotFoundError, match=r'folder of images .*gone'):
        hashes()


@pytest.mark.slow
def test_a_pretraining_of_epochs_has_that_many_iterations(pretraining, tmp_path):
    pretraining.train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
    pretraining.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    pretraining.train_dataloader.update(num_workers=0, persistent_workers=False)
    for drop_last in (False, True):
        pretraining.train_dataloader.drop_last = drop_last
        length = len(Runner.build_dataloader(pretraining.train_dataloader, seed=0))
        assert plan_pretrainings({'a': pretraining}, tmp_path)[0].iterations == 3 * length


def test_a_pretraining_of_another_backbone_is_refused_before_it_runs(config, pretraining, tmp_path):
    require_fitting(config, plan_pretrainings({'a': pretraining}, tmp_path))
    pretraining.model.backbone.extra.stage4.num_channels = (16, 32, 64, 256)
    with pytest.raises(CheckpointError, match=r'init a: its config .*hsjp_hrnet.* does not fit'):
        require_fitting(config, plan_pretrainings({'a': pretraining}, tmp_path))


@pytest.mark.slow
def test_a_combined_data_set_is_hashed_and_counted_by_its_parts(config, toy, tmp_path):
    part = config.train_dataloader.dataset
    other = dict(part, ann_file='annotations/person_keypoints_val.json')
    other['data_prefix'] = dict(img='val/')
    config.train_dataloader.dataset = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[part, other],
    )
    config.train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
    config.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    lengths = []
    for dataset in (config.train_dataloader.dataset, part, other):
        lengths.append(len(Runner.build_dataloader(dict(
            config.train_dataloader, dataset=dataset), seed=0).dataset))  # fmt: skip
    assert lengths[0] == lengths[1] + lengths[2]
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    assert run.config.train_dataloader.sampler.num_samples == lengths[0]
    assert run.iterations == 2 * -(-lengths[0] // 3)
    files = [f'{toy}/annotations/person_keypoints_{split}.json' for split in ('train', 'val')]
    keypoints = 'configs/_base_/datasets/coco.py'
    assert run.recipe['data'] == {
        **{file: file_sha256(file) for file in files},
        keypoints: file_sha256(metainfo_file(keypoints)),
    }


def test_of_a_recipe_of_version_01_only_what_it_recorded_is_compared(config, toy, tmp_path):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text('[]')
    config.val_dataloader.dataset.bbox_file = str(boxes)
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    assert str(boxes) in run.recipe['data']
    data = {name: sha for name, sha in run.recipe['data'].items() if name != str(boxes)}
    old = {key: value for key, value in run.recipe.items() if key != 'version'} | {'data': data}
    assert changes(old, run.recipe) == []
    assert changes({**old, 'seed': 1}, run.recipe) == ['seed: 1, 0']
    assert len(changes(dict(run.recipe, data=data), run.recipe)) == 1


def test_two_metrics_do_not_write_their_predictions_to_one_file(config, tmp_path):
    config.val_evaluator = [config.val_evaluator, dict(config.val_evaluator)]
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    assert all('outfile_prefix' not in metric for metric in run.config.val_evaluator)


def test_the_rule_and_the_measure_are_seen_to_before_anything_runs(config, tmp_path):
    with pytest.raises(ValueError, match=r"metric='my/score'.*by `rule`, greater"):
        plan(config, {'scratch': None}, [1.0], [0], tmp_path, metric='my/score')
    with pytest.raises(ValueError, match=r"metric='AP' must begin with coco/"):
        plan(config, {'scratch': None}, [1.0], [0], tmp_path, metric='AP')
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path, metric='coco/EPE')
    assert run.rule == 'less'


@pytest.mark.slow
def test_a_fraction_of_a_combined_data_set_is_one_of_each_part(config, toy, tmp_path):
    part = config.train_dataloader.dataset
    other = dict(part, ann_file='annotations/person_keypoints_val.json')
    other['data_prefix'] = dict(img='val/')
    config.train_dataloader.dataset = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[part, other],
    )
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    half, whole = plan(config, {'scratch': None}, [0.5, 1.0], [0], tmp_path)
    assert half.recipe['protocol'] == whole.recipe['protocol']
    assert (half.recipe['labels'], fraction_of(half.config)) == (0.5, 0.5)
    images = []
    for run in (half, whole):
        dataset = Runner.build_dataloader(run.config.train_dataloader, seed=0).dataset
        found = [dataset[index]['data_samples'].img_path for index in range(len(dataset))]
        images.append({s: len({p for p in found if f'/{s}/' in p}) for s in ('train', 'val')})
    assert images == [{'train': 4, 'val': 1}, {'train': 8, 'val': 2}]


def test_files_that_a_recipe_did_not_hash_formerly_do_not_count_for_old_runs(config, tmp_path):
    (run,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    data = dict(list(run.recipe['data'].items())[:1])
    assert changes({**run.recipe, 'version': 2, 'data': data}, run.recipe) == []
    assert changes({**run.recipe, 'data': data}, run.recipe)


@pytest.mark.parametrize('key', ['metainfo.from_file', 'headbox_file'])
def test_every_file_that_decides_on_the_result_is_in_the_recipe(key, config, tmp_path):
    """A keypoint set whose sides or sigmas are edited is another one."""
    file = tmp_path / 'set.py'
    stock = metainfo_file('configs/_base_/datasets/coco.py')
    file.write_text(stock.read_text())
    config.merge_from_dict({f'val_dataloader.dataset.{key}': str(file)})
    (before,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    file.write_text(stock.read_text() + '# edited')
    (after,) = plan(config, {'scratch': None}, [1.0], [0], tmp_path)
    (change,) = changes(before.recipe, after.recipe)
    assert change.startswith(f'data.{file}: ')


def test_shares_that_are_nearly_equal_have_folders_of_their_own(config, tmp_path):
    shares = [0.5, 0.50000001, 1.0]
    runs = plan(config, {'scratch': None}, shares, [0], tmp_path)
    names = [run.folder.parent.name for run in runs]
    assert names == ['labels-0.5', 'labels-0.50000001', 'labels-1']
