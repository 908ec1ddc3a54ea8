"""Whether joints are told from one another by their vectors, with the chance level.

Letters: V views, K joints, D channels of an embedding.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from torch import Tensor

from hsjp_mm.ops.joint_retrieval import retrieval_shares, retrieval_sums
from hsjp_mm.ops.regrouping import feature_std
from hsjp_mm.registry import METRICS


@METRICS.register_module()
class JointRetrieval(BaseMetric):
    """What the nearest neighbors of joints are.

    The images are taken in the order of the data set, in groups of ``among`` that do not depend on
    the batch size or the number of processes. Reports, each with ``…_chance``, the share of the
    joints whose nearest neighbor by cosine in the group is

    - ``joint_retrieval``: the same joint, among the joints of other images. In the same image the
      same joint of the other view would be found by its colors alone.
    - ``image_retrieval``: of the same image, among the other joints in other views. In the same
      view it would be found because neighbors share cells of the map.
    - ``pair_retrieval``: the same joint of the same image, among all.

    And ``feature_std``, 0 where all embeddings have collapsed into one and near 1 where they spread
    evenly. Chance is that of a neighbor drawn among the same joints. A last group of a single image
    is left out unless there is no other.

    Args:
        among: images in a group.
        collect_device, prefix: as in MMEngine's BaseMetric.

    Raises:
        ValueError: ``among`` below 2; no joint in any view.

    Examples:
        >>> val_evaluator = dict(type='hsjp_mm.JointRetrieval')
    """

    default_prefix = 'joints'

    def __init__(self, among: int = 64, collect_device: str = 'cpu', prefix: str | None = None):
        super().__init__(collect_device, prefix)
        if among < 2:
            raise ValueError(f'among={among} must be at least 2 images')
        self.among = among

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings of the joints of each image, (1, V, K, D), that its views show."""
        for sample in data_samples:
            found = sample['pred_instances']
            seen = found['joints_seen'][0]
            self.results.append((found['joint_embeddings'][0][seen], seen.nonzero()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Search in each group, and average over all joints."""
        groups = [results[i : i + self.among] for i in range(0, len(results), self.among)]
        groups = [group for group in groups if len(group) > 1] or groups
        joined = [_join(group) for group in groups]
        everyone = torch.cat([rows for rows, _ in joined])
        if not len(everyone):
            raise ValueError('no view of any image shows a labelled joint')
        sums = torch.stack([retrieval_sums(rows, rows, at, at) for rows, at in joined if len(rows)])
        shares = {name: float(share) for name, share in retrieval_shares(sums.sum(dim=0)).items()}
        return {**shares, 'feature_std': float(feature_std(everyone))}


def _join(group: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Join the rows (n, D) of a group's images and their labels (n, 2) to (P, D) and (P, 3)."""
    labels = [F.pad(places, (1, 0), value=image) for image, (_, places) in enumerate(group)]
    return torch.cat([rows for rows, _ in group]), torch.cat(labels)
