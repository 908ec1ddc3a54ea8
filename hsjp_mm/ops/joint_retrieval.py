"""Whether the nearest neighbors of joints are what they should be, beside what chance would give.

Letters: P joints, V views of an image, C channels. A *label* (3,) of a joint is its image, the
view of that image, and which joint it is.
"""

import torch
from torch import Tensor

from hsjp_mm.ops.regrouping import share_of_nearest

NAMES = ('joint_retrieval', 'image_retrieval', 'pair_retrieval')


def retrieval_sums(own: Tensor, everyone: Tensor, own_labels: Tensor, labels: Tensor) -> Tensor:
    """Look up nearest neighbors by cosine, in three ways.

    - ``joint_retrieval``: among the joints of other images; right is the same joint.
    - ``image_retrieval``: among the other joints in other views, for the neighbors in the same
      view share cells of the map; right is the same image.
    - ``pair_retrieval``: among all others; right is the same joint of the same image.

    Of several that are equally near, as all are in a collapsed network, each counts in part.

    Args:
        own: (Q, C) some of the joints' vectors, of length 1.
        everyone: (P, C) all of them.
        own_labels, labels: (Q, 3) and (P, 3) long.

    Returns:
        (3, 3): for each of :data:`NAMES` how many were right, how many a neighbor drawn at random
        would get right, and how many had something to look among. Sums add up over processes.
    """
    image, view, joint = (own_labels[:, None] == labels).unbind(dim=2)
    cosines = own @ everyone.T
    ways = (
        (~image, joint),
        (~joint & ~(image & view), image),
        (~(image & view & joint), image & joint),
    )
    return torch.stack([_sums(cosines, *way) for way in ways])


def _sums(cosines: Tensor, allowed: Tensor, right: Tensor) -> Tensor:
    asked = allowed.any(dim=1)
    found = asked * share_of_nearest(cosines.masked_fill(~allowed, -torch.inf), right)
    chance = (right & allowed).sum(dim=1).double() / allowed.sum(dim=1).clamp(min=1)
    return torch.stack([found.sum(), chance.sum(), asked.sum()]).double()


def retrieval_shares(sums: Tensor) -> dict[str, Tensor]:
    """Turn the sums (3, 3) into shares, ``…_retrieval`` and ``…_retrieval_chance``; 0 of none."""
    shares = sums[:, :2] / sums[:, 2:].clamp(min=1)
    return {
        f'{name}{end}': share
        for name, row in zip(NAMES, shares, strict=True)
        for end, share in zip(('', '_chance'), row, strict=True)
    }
