import torch
from mmengine.dataset import pseudo_collate
from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.structures import PoseDataSample

from hsjp_mm.models import ViewsDataPreprocessor

NORMALISED = dict(mean=[1.0, 2, 3], std=[4.0, 5, 6], bgr_to_rgb=True)


def batch(*sizes: tuple[int, int]) -> dict:
    torch.manual_seed(0)
    samples = [
        {
            'inputs': [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes],
            'data_samples': PoseDataSample(metainfo={'img_shape': sizes[0]}),
        }
        for _ in range(2)
    ]
    return pseudo_collate(samples)


def test_each_place_is_what_stock_makes_of_it():
    data = batch((8, 6), (4, 4), (8, 6))
    made = ViewsDataPreprocessor(**NORMALISED)(data)
    assert [tuple(view.shape) for view in made['inputs']] == [
        (2, 3, 8, 6), (2, 3, 4, 4), (2, 3, 8, 6)
    ]  # fmt: skip
    stock = PoseDataPreprocessor(**NORMALISED)
    for place, view in enumerate(made['inputs']):
        images = list(data['inputs'][place])
        expected = stock({'inputs': images, 'data_samples': data['data_samples']})
        assert torch.equal(view, expected['inputs'])
    # one value by hand: channels are turned round, then normalised
    first = data['inputs'][0][0].float()
    assert made['inputs'][0][0, 0, 0, 0] == (first[2, 0, 0] - 1) / 4


def test_shapes_are_those_of_the_first_place():
    made = ViewsDataPreprocessor(**NORMALISED)(batch((8, 6), (4, 4)))
    assert len(made['data_samples']) == 2
    assert made['data_samples'][0].batch_input_shape == (8, 6)


def test_single_images_go_as_in_stock():
    images = [torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8) for _ in range(2)]
    data = {'inputs': images, 'data_samples': [PoseDataSample() for _ in range(2)]}
    made = ViewsDataPreprocessor(**NORMALISED)(data)
    assert torch.equal(made['inputs'], PoseDataPreprocessor(**NORMALISED)(data)['inputs'])
