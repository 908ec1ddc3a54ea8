"""Sorting the patches of several images: neighbors, groups of equal size, and their chance levels.

Letters: n images, m patches along a side, K = m² patches of an image, P = n·K patches, C channels.
"""

import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def retrieved(own: Tensor, everyone: Tensor, images: Tensor, first: int = 0) -> Tensor:
    """Whether the nearest neighbor of each patch, by cosine, is of the same image.

    Of several that are equally near, as all are in a collapsed network, each counts in part.

    Args:
        own: (Q, C) some of the patches' vectors, of length 1.
        everyone: (P, C) all of them.
        images: (P,) the image of each patch.
        first: where ``own`` begins in ``everyone``.

    Returns:
        (Q,) from 0 to 1.
    """
    similarity = own @ everyone.T
    places = torch.arange(len(own), device=own.device)
    similarity[places, first + places] = -torch.inf
    same = images == images[first : first + len(own), None]
    return share_of_nearest(similarity, same)


def share_of_nearest(similarity: Tensor, right: Tensor) -> Tensor:
    """Which share of the nearest ones, mostly one, is right.

    Args:
        similarity: (Q, P)
        right: (Q, P) bool.

    Returns:
        (Q,) from 0 to 1.
    """
    nearest = similarity == similarity.amax(dim=1, keepdim=True)
    return (nearest & right).sum(dim=1) / nearest.sum(dim=1)


def retrieval_chance(num_images: int, patches: int) -> float:
    """The share of patches retrieved if the neighbor is drawn: (K − 1)/(n·K − 1)."""
    return (patches - 1) / (num_images * patches - 1)


def group(vectors: np.ndarray, size: int, rounds: int = 10) -> np.ndarray:
    """Divide vectors into groups of equal size: k-means with the sizes as a constraint.

    It starts from vectors that lie far from each other: the first is farthest from the mean, each
    further one farthest from those taken before. Each round gives every group ``size`` places,
    and assigns the vectors to the places by SciPy's ``linear_sum_assignment``, so that the sum of
    their mean cosines to the members is the highest possible; a vector is not its own company,
    or it would hold small groups in place. The round of the highest sum of cosines inside groups
    counts.

    Args:
        vectors: (P, C) of length 1, ``size`` divides P and is 2 or more.
        size: vectors in a group.
        rounds: at most; it ends when the groups stay.

    Returns:
        (P,) the number of each vector's group.
    """
    everyone = np.arange(len(vectors))
    gain = vectors @ vectors[_spread(vectors, len(vectors) // size)].T
    groups = best = np.full(len(vectors), -1)
    highest = -np.inf
    for _ in range(rounds):
        previous, places = groups, np.repeat(gain, size, axis=1)
        groups = linear_sum_assignment(places, maximize=True)[1] // size
        if np.array_equal(groups, previous):
            break
        sums = (
            vectors[groups.argsort(kind='stable')].reshape(-1, size, vectors.shape[1]).sum(axis=1)
        )
        if (cohesion := np.square(sums).sum()) > highest:
            best, highest = groups, cohesion
        gain = vectors @ sums.T / size
        gain[everyone, groups] = (gain[everyone, groups] * size - 1) / (size - 1)
    return best


def _spread(vectors: np.ndarray, number: int) -> list[int]:
    chosen = [int(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argmax())]
    nearest = np.linalg.norm(vectors - vectors[chosen[0]], axis=1)
    while len(chosen) < number:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(vectors - vectors[chosen[-1]], axis=1))
    return chosen


def put_together(vectors: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Make images out of patches: group them, then give each of a group another location.

    Args:
        vectors: (P, C) of length 1.
        logits: (P, K) of the locations.

    Returns:
        (n, K) the patches of each image found, in the order of their locations.
    """
    size = logits.shape[1]
    # of equal vectors and logits, those of a collapsed network, the first in order would be taken
    shuffled = np.random.RandomState(0).permutation(len(vectors))
    vectors, logits = vectors[shuffled], logits[shuffled]
    members = group(vectors, size).argsort(kind='stable').reshape(-1, size)
    orders = [linear_sum_assignment(logits[patches].T, maximize=True)[1] for patches in members]
    return shuffled[np.take_along_axis(members, np.stack(orders), axis=1)]


def restored(found: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Which of the images found are whole images of the batch.

    Args:
        found: (n, K) patches in the order of their locations.
        sources: (P,) what each patch is, image·K + location.

    Returns:
        (n,) bool.
    """
    size = found.shape[1]
    first = sources[found[:, :1]]
    return ((first % size == 0) & (sources[found] == first + np.arange(size))).all(axis=1)


def restored_chance(num_images: int, patches: int) -> float:
    """The share of images restored by random groups in random orders."""
    groups = math.comb(num_images * patches - 1, patches - 1)
    return 1 / (groups * math.factorial(patches))


def feature_std(vectors: Tensor) -> Tensor:
    """√C times the mean standard deviation of a channel, for vectors (P, C) of length 1.

    Near 1 where they spread over the sphere around its middle, 0 where all have collapsed into one.
    """
    return vectors.std(dim=0, correction=0).mean() * vectors.shape[1] ** 0.5
