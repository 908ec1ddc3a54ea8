"""What both of its data sets do is tested with them; here, what all data sets that derive do."""

import cv2
import numpy as np
import pytest
from mmpose.structures import PoseDataSample

from hsjp_mm.datasets.readable_images import ReadableImageDataset


class Pack:
    def __call__(self, results):
        return {'data_samples': PoseDataSample(metainfo={'id': results['id']})}


class Numbered(ReadableImageDataset):
    """Images 0.png, 1.png … of a folder."""

    def load_data_list(self):
        self.num_images = 3
        return [
            {'id': i, 'img_index': i, 'img_path': f'{self.data_prefix["img"]}/{i}.png'}
            for i in range(3)
        ]


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / '2.png').write_bytes(b'no image')
    dataset = Numbered(
        data_prefix=dict(img=str(tmp_path)), pipeline=[dict(type='LoadImage'), Pack()]
    )
    drawn = iter([2, 1])
    monkeypatch.setattr(dataset, '_rand_another', lambda: next(drawn))
    return dataset


def test_another_sample_carries_what_was_skipped(dataset, tmp_path, log_file):
    sample = dataset[0]['data_samples']
    assert sample.id == 1
    assert sample.skipped == [str(tmp_path / '0.png'), str(tmp_path / '2.png')]
    assert log_file.read_text().count('Numbered: skipped') == 2
    assert 'skipped' not in dataset[1]['data_samples'].metainfo


def test_nothing_that_can_be_read_is_an_error(dataset, monkeypatch):
    monkeypatch.setattr(dataset, '_rand_another', lambda: 2)
    dataset.max_refetch = 3
    with pytest.raises(RuntimeError, match='none of 4 drawn images could be read, 2 different'):
        dataset[0]


def test_a_sample_that_is_not_packed_carries_it_too(dataset, tmp_path):
    """As inside MMPose's CombinedDataset, whose own pipeline packs."""
    dataset.pipeline.transforms.pop()
    sample = dataset[0]
    assert sample['id'] == 1
    assert sample['skipped'] == [str(tmp_path / '0.png'), str(tmp_path / '2.png')]


def test_what_a_transform_leaves_out_is_replaced(dataset, monkeypatch):
    """MMEngine's rule: a transform that returns None wants another sample."""

    def leave_out(results):
        return None if results['id'] == 0 else results

    dataset.pipeline.transforms.insert(0, leave_out)
    monkeypatch.setattr(dataset, '_rand_another', lambda: 1)
    sample = dataset[0]['data_samples']
    assert sample.id == 1 and 'skipped' not in sample.metainfo
    dataset.max_refetch = 2
    monkeypatch.setattr(dataset, '_rand_another', lambda: 0)
    with pytest.raises(RuntimeError, match='leaves out all of 3 drawn samples'):
        dataset[0]
