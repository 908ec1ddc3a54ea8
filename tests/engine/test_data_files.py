import pytest
from mmengine.config import Config

from hsjp_mm.engine.data_files import require_annotations


def config(**dataset) -> Config:
    return Config(dict(train_dataloader=dict(dataset=dataset), val_dataloader=None))


def test_a_missing_file_is_named_with_its_key(tmp_path):
    (tmp_path / 'there.json').touch()
    there = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='there.json')
    require_annotations(config(**there), ('train', 'val', 'test'))
    gone = {**there, 'ann_file': 'gone.json'}
    with pytest.raises(FileNotFoundError, match=r"train_dataloader\.dataset\.ann_file='.*gone"):
        require_annotations(config(**gone), ('train',))
    require_annotations(config(**gone), ('val',))


def test_data_sets_inside_others_are_looked_at():
    part = dict(type='CocoDataset', data_root='nowhere', ann_file='a.json')
    combined = dict(type='CombinedDataset', datasets=[dict(type='X', ann_file=''), part])
    for wrapped, key in (
        (dict(type='RepeatDataset', dataset=part), r'dataset\.dataset\.ann_file'),
        (combined, r'dataset\.datasets\.1\.ann_file'),
    ):
        with pytest.raises(FileNotFoundError, match=key):
            require_annotations(config(**wrapped), ('train',))


@pytest.mark.parametrize(
    'dataset',
    [
        dict(ann_file=''),
        dict(data_prefix=dict(img='folder')),
        dict(ann_file='s3://bucket/a.json'),
        dict(data_root='http://host/', ann_file='a.json'),
        dict(ann_file='a.json', backend_args=dict(backend='petrel')),
    ],
)
def test_what_is_on_no_disk_is_not_looked_up(dataset):
    require_annotations(config(type='CocoDataset', **dataset), ('train',))
