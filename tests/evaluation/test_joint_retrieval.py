import pytest
import torch
import torch.nn.functional as F

from hsjp_mm.evaluation import JointRetrieval
from hsjp_mm.ops.joint_retrieval import retrieval_shares, retrieval_sums


def predictions(number: int, views: int = 2, joints: int = 5, channels: int = 6) -> list[dict]:
    """Random embeddings, of which a part is seen; data samples as an evaluator gets them."""
    generator = torch.Generator().manual_seed(0)
    shape = (number, views, joints)
    rows = F.normalize(torch.randn(*shape, channels, generator=generator), dim=-1)
    seen = torch.rand(shape, generator=generator) < 0.7
    return [
        {'pred_instances': {'joint_embeddings': rows[i : i + 1], 'joints_seen': seen[i : i + 1]}}
        for i in range(number)
    ]


def measure(samples: list[dict], batch: int = 3, among: int = 64) -> dict:
    metric = JointRetrieval(among)
    for i in range(0, len(samples), batch):
        metric.process(None, samples[i : i + batch])
    return metric.evaluate(len(samples))


def labelled(samples: list[dict]) -> tuple[torch.Tensor, torch.Tensor]:
    found = [s['pred_instances'] for s in samples]
    seen = torch.cat([f['joints_seen'] for f in found])
    return torch.cat([f['joint_embeddings'] for f in found])[seen], seen.nonzero()


def test_one_group_is_all_joints_that_are_seen():
    samples = predictions(6)
    rows, labels = labelled(samples)
    expected = retrieval_shares(retrieval_sums(rows, rows, labels, labels))
    found = measure(samples)
    for name, value in expected.items():
        assert found[f'joints/{name}'] == pytest.approx(float(value), abs=1e-6)
    spread = rows.std(dim=0, correction=0).mean() * 6**0.5
    assert found['joints/feature_std'] == pytest.approx(float(spread), abs=1e-6)


def test_groups_do_not_depend_on_the_batches_and_a_last_single_image_is_left_out():
    samples = predictions(7)
    found = measure(samples, batch=2, among=3)
    assert found == measure(samples, batch=7, among=3)
    sums = sum(
        retrieval_sums(rows, rows, labels, labels)
        for rows, labels in (labelled(samples[:3]), labelled(samples[3:6]))
    )
    for name, value in retrieval_shares(sums).items():
        assert found[f'joints/{name}'] == pytest.approx(float(value), abs=1e-6)


def test_joints_that_are_not_seen_do_not_count():
    samples = predictions(4)
    expected = measure(samples)
    for sample in samples:
        found = sample['pred_instances']
        found['joint_embeddings'][~found['joints_seen']] = torch.nan
    assert measure(samples) == expected


def test_no_joint_at_all_is_refused():
    samples = predictions(2)
    for sample in samples:
        sample['pred_instances']['joints_seen'][:] = False
    with pytest.raises(ValueError, match='no view of any image shows a labelled joint'):
        measure(samples)


def test_groups_of_one_image_are_refused():
    with pytest.raises(ValueError, match='among=1 must be at least 2 images'):
        JointRetrieval(1)
