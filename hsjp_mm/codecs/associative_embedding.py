"""MMPose's associative embedding codec with the grouping of HigherHRNet's authors."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from mmpose import codecs
from mmpose.codecs.utils import refine_keypoints_dark_udp
from torch import Tensor

from hsjp_mm.codecs.grouping import find_peaks, group_peaks, mean_tags
from hsjp_mm.codecs.missing import find_missing
from hsjp_mm.codecs.reading import Maps, WholeMaps
from hsjp_mm.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class AssociativeEmbedding(codecs.AssociativeEmbedding):
    """MMPose's codec, decoded as HigherHRNet's authors do (section 3.2), and fit for training.

    Encoding puts a keypoint into the cell that it lies in, where stock takes the nearest corner of
    cells; and ``keypoint_indices`` reach the data samples. Decoding gives what the authors' code
    gives, where ``decode_center_shift`` is 0.5 and ``decode_topk`` stands for their greatest number
    of persons. NMS, thresholds, grouping and scores are those of the stock decoder. These differ
    from it:

    - The quarter pixel goes to the lower side where both neighbors are equal, and is applied at
      the border too, where the pixel itself stands in for its missing neighbor.
    - A missing keypoint is sought where heat − round(tag distance) is greatest, rather than
      heat − 100·round(tag distance); it is shifted like the others; and it stays missing, with
      zeros, where the heat is not positive.
    - The tags of a person are those at its peaks. The stock decoder looks them up after the shifts,
      which without the half pixel, or with UDP, can be at a neighbor.
    - Persons beyond the first ``decode_topk`` get no further peaks.
    - Equal heat is taken in the order of locations, where stock leaves it to ``torch.topk``.
    - Of equally cheap assignments of peaks to persons, the one that the authors' code comes to is
      taken. Stock's depends on which release of ``munkres`` is installed.

    It is fast because it takes of full-size maps only the extremes of small blocks, which tell the
    few pixels that need to be read from those that cannot change the result. Letters as in
    ``grouping.py``.

    Args:
        input_size: [w, h] of the network's input.
        heatmap_size: [W, H] of the maps that such an input gives.
        decode_keypoint_order: the K keypoints in the order in which they are grouped. Decoding
            needs it.
        adjust: move keypoints a quarter pixel towards the higher neighbor or, with ``use_udp``,
            as stock does.
        refine: look for the missing keypoints of each person by its mean tag.
        kwargs: other arguments of the stock codec.

    Raises:
        ValueError: an argument is out of range.

    Examples:
        >>> codec = dict(
        ...     type='hsjp_mm.AssociativeEmbedding',
        ...     input_size=(512, 512),
        ...     heatmap_size=(128, 128),
        ...     decode_keypoint_order=[0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16],
        ... )
    """

    # Stock lacks this table, and without the second entry the loss of the tags has no targets.
    label_mapping_table: ClassVar[dict[str, str]] = dict(
        keypoint_weights='keypoint_weights', keypoint_indices='keypoint_indices'
    )

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        *,
        decode_keypoint_order: Sequence[int] = (),
        adjust: bool = True,
        refine: bool = True,
        **kwargs,
    ) -> None:
        order = list(decode_keypoint_order)
        if sorted(order) != list(range(len(order))):
            raise ValueError(
                f'decode_keypoint_order must hold each number from 0 to K - 1 once, not {order}'
            )
        super().__init__(input_size, heatmap_size, decode_keypoint_order=order, **kwargs)
        if self.decode_nms_kernel < 1 or self.decode_nms_kernel % 2 == 0:
            raise ValueError(f'decode_nms_kernel must be odd, not {self.decode_nms_kernel}')
        if self.decode_topk < 1:
            raise ValueError(f'decode_topk must be at least 1, not {self.decode_topk}')
        if self.decode_keypoint_thr < 0:
            raise ValueError(
                f'decode_keypoint_thr must not be negative, not {self.decode_keypoint_thr}'
            )
        self.adjust = adjust
        self.refine = refine

    def encode(
        self, keypoints: np.ndarray, keypoints_visible: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Make the heat maps, with a Gaussian around the cell of each keypoint, and the indices.

        The cell of x is floor(x / stride), as in the authors' code. Stock rounds, which decoding
        does not undo: enlarged bilinearly, cell i is centerd on pixel stride·i + (stride − 1) / 2,
        not stride·i, so that peaks would come out 2 pixels too far at 1/4, and 1 at 1/2. A
        keypoint beyond the border leaves no trace; stock draws the part of its Gaussian that lies
        within. With ``use_udp``, whose Gaussians are centerd between cells, encoding is the stock
        one.

        Args:
            keypoints: (N, K, 2), (x, y) in pixels of the input.
            keypoints_visible: (N, K), above 0.5 for those to be learnt; all, if None.

        Returns:
            ``heatmaps`` (K, H, W); ``keypoint_indices`` (N, K, 2) of [y·W + x, whether visible and
            inside]; ``keypoint_weights`` (N, K).
        """
        if self.use_udp:
            return super().encode(keypoints, keypoints_visible)
        cells = np.floor(keypoints / self.scale_factor)
        inside = ((cells >= 0) & (cells < self.heatmap_size)).all(axis=-1).astype(np.float32)
        visible = inside if keypoints_visible is None else keypoints_visible * inside
        return super().encode(cells * self.scale_factor, visible)

    def batch_decode(
        self, batch_heatmaps: Tensor | Sequence[Maps], batch_tags: Tensor | Sequence[Maps]
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Find the persons of each image.

        Args:
            batch_heatmaps: (B, K, H, W), on any device; read as float32. Or the maps (K, H, W) of
                each image, which need not be there as a whole: such as
                :class:`~hsjp_mm.codecs.enlarging.EnlargedMaps`, of sizes of their own.
            batch_tags: (B, L·K, H, W), the first tags of all keypoints before all second ones. Or
                those of each image.

        Returns:
            Three lists over the images: keypoints (N, K, 2) in pixels (x, y) of the input; their
            scores (N, K); and scores (N,) of the persons, the means of their keypoints' before
            missing ones are sought. A keypoint that was not found has score 0 and is at (0, 0).

        Raises:
            ValueError: shapes that do not fit, values that are not finite, or a
                ``decode_keypoint_order`` of another number of keypoints.
        """
        if isinstance(batch_heatmaps, Tensor) and isinstance(batch_tags, Tensor):
            _check_batch(batch_heatmaps, batch_tags)
        heatmaps, tags = (
            [one if isinstance(one, Maps) else WholeMaps(one) for one in batch]
            for batch in (batch_heatmaps, batch_tags)
        )
        for maps in zip(heatmaps, tags, strict=True):
            self._check_maps(*maps)
        decoded = map(self._decode_image, heatmaps, tags)
        keypoints, scores, person_scores = zip(*decoded, strict=True)
        return list(keypoints), list(scores), list(person_scores)

    def _check_maps(self, heatmaps: Maps, tags: Maps) -> None:
        num_keypoints = heatmaps.shape[0]
        shapes = f'heat maps are {heatmaps.shape}, tags {tags.shape}'
        if heatmaps.shape[1:] != tags.shape[1:]:
            raise ValueError(f'heat maps and tags must agree in map size: {shapes}')
        if tags.shape[0] == 0 or tags.shape[0] % num_keypoints:
            raise ValueError(f'every keypoint must have equally many tags: {shapes}')
        if len(self.decode_keypoint_order) != num_keypoints:
            raise ValueError(
                f'decode_keypoint_order must hold the {num_keypoints} keypoints of the heat maps, '
                f'not {self.decode_keypoint_order}'
            )
        for name, maps in (('heat maps', heatmaps), ('tags', tags)):
            if not maps.finite():
                raise ValueError(f'{name} must be finite, but hold NaN or infinite values')

    def _decode_image(
        self, heatmaps: Maps, tags: Maps
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        peaks = find_peaks(
            heatmaps, tags, self.decode_nms_kernel, self.decode_keypoint_thr, self.decode_topk
        )
        members = group_peaks(
            peaks, self.decode_keypoint_order, self.decode_tag_thr, self.decode_topk
        )[: self.decode_max_instances]
        found = members >= 0
        locations = np.zeros_like(members)
        locations[found] = peaks.locations[members[found]]
        scores = np.zeros(members.shape, np.float32)
        scores[found] = peaks.scores[members[found]]
        person_scores = scores.mean(axis=1)
        if self.refine and not found.all():
            # peaks are numbered by keypoint, and so are the tags of a person summed
            used = np.sort(np.where(found, members, len(peaks.scores)), axis=1)
            person_tags = mean_tags(peaks.tags, used, found.sum(axis=1))
            keypoints, persons = np.nonzero(~found.T)
            locations[persons, keypoints], scores[persons, keypoints] = find_missing(
                heatmaps, tags, peaks.warmest, keypoints, person_tags[persons]
            )
        return self._place(heatmaps, locations, scores > 0, found), scores, person_scores

    def _place(
        self, heatmaps: Maps, locations: np.ndarray, known: np.ndarray, found: np.ndarray
    ) -> np.ndarray:
        """Turn locations (N, K) into keypoints (N, K, 2) of the input, zero where not known."""
        maps = np.arange(heatmaps.shape[0])
        y, x = np.divmod(locations, heatmaps.shape[2])
        keypoints = np.stack([x, y], axis=-1).astype(np.float32)
        if self.adjust and self.use_udp:
            # The stock function writes into both arguments, and is made for peaks.
            dark = refine_keypoints_dark_udp(
                keypoints.copy(), heatmaps.whole(), self.decode_gaussian_kernel
            )
            keypoints = np.where(found[..., None], dark, keypoints)
        elif self.adjust:
            right = heatmaps.at(maps, y, x + 1) > heatmaps.at(maps, y, x - 1)
            below = heatmaps.at(maps, y + 1, x) > heatmaps.at(maps, y - 1, x)
            keypoints += np.where(np.stack([right, below], -1), 0.25, -0.25).astype(np.float32)
        keypoints += np.float32(self.decode_center_shift)
        return keypoints * known[..., None] * self.scale_factor


def _check_batch(heatmaps: Tensor, tags: Tensor) -> None:
    shapes = f'heat maps are {tuple(heatmaps.shape)}, tags {tuple(tags.shape)}'
    if heatmaps.ndim != 4 or tags.ndim != 4 or 0 in heatmaps.shape:
        raise ValueError(f'maps must be (B, K, H, W) and (B, L*K, H, W), not empty: {shapes}')
    if heatmaps.shape[0] != tags.shape[0] or heatmaps.shape[2:] != tags.shape[2:]:
        raise ValueError(f'heat maps and tags must agree in batch and map size: {shapes}')
