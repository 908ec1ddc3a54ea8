import pytest
import torch

from hsjp_mm.evaluation import DensePoseAccuracy, PartIoU
from hsjp_mm.ops.part_labels import DENSEPOSE_PARTS
from tests.models.pretext.dense_models import batch, dense_dataset, tiny_dense


def test_data_of_other_parts_are_refused_before_training(dense_bodies):
    model = tiny_dense('DensePose')
    model.prepare(dense_dataset('DensePose', dense_bodies))
    with pytest.raises(ValueError, match=r'the data labels the parts torso.*the model predicts'):
        model.prepare(dense_dataset('PartSegmentation', dense_bodies))


def test_samples_without_points_are_refused(dense_bodies):
    model = tiny_dense('DensePose')
    inputs, samples = batch(model, 'PartSegmentation', dense_bodies, 0, 2)
    with pytest.raises(ValueError, match='a data sample has no points of the surface'):
        model.loss(inputs, samples)


def test_points_stay_with_their_samples(dense_bodies):
    """Of several persons together each gets what it gets alone."""
    model = tiny_dense('DensePose').eval()
    inputs, samples = batch(model, 'DensePose', dense_bodies, 0, 4)
    with torch.no_grad():
        together = model.predict(inputs, samples)
        for i, sample in enumerate(together):
            own_inputs, own = batch(model, 'DensePose', dense_bodies, i, i + 1)
            alone = model.predict(own_inputs, own)[0]
            assert sample.pred_instances.dense_charts.shape == (1, 3 + i)
            for key in ('dense_charts', 'dense_uv', 'dense_inside'):
                torch.testing.assert_close(
                    sample.pred_instances.get(key), alone.pred_instances.get(key)
                )
            assert torch.equal(sample.pred_fields.part_labels, alone.pred_fields.part_labels)
    points, parts = DensePoseAccuracy(), PartIoU()
    parts.dataset_meta = {'parts': DENSEPOSE_PARTS}
    for metric in (points, parts):
        metric.process(None, [sample.to_dict() for sample in together])
    assert 0 <= points.evaluate(4)['densepose/index'] <= 1
    assert len(points.results) == 0 and 0 <= parts.evaluate(4)['parts/iou'] <= 1


@pytest.mark.slow
def test_points_and_parts_of_two_persons_are_learnt_by_heart(dense_bodies):
    """A few steps on one batch: every loss falls, the charts are told beyond chance."""
    model = tiny_dense('DensePose').train()
    inputs, samples = batch(model, 'DensePose', dense_bodies, 0, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    logs = []
    for _ in range(40):
        values = model.loss(inputs, samples)
        logs.append({name: float(value.detach()) for name, value in values.items()})
        optimizer.zero_grad()
        sum(value for name, value in values.items() if 'loss' in name).backward()
        optimizer.step()
    for name in ('loss_parts', 'loss_charts', 'loss_uv'):
        assert logs[-1][name] < 0.7 * logs[0][name], name
    assert logs[-1]['index'] > 0.5
