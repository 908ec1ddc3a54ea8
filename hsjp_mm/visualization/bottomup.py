"""Pictures of a bottom-up model: its heat maps at all resolutions, its tags, the grouped poses.

Letters: N persons, K keypoints, h and w height and width of a map, H and W of the network's input.
"""

import cv2
import matplotlib
import numpy as np
import torch
from mmpose.models.pose_estimators import BottomupPoseEstimator
from torch import Tensor

from hsjp_mm.datasets.transforms.pyramid import to_input
from hsjp_mm.models.heads.higherhrnet_head import STRIDE
from hsjp_mm.visualization.pictures import BAR, to_rgb, write, write_legend

HEAT = matplotlib.colormaps['inferno']
TAGS = matplotlib.colormaps['turbo']
SIDE = 640
"""Of a picture in pixels, the longer one."""
DIM = 0.35
"""Brightness that the image keeps under maps."""
SEEN = 0.1
"""Heat from which a tag is shown in full."""
GAP, LINE = 8, 24
WIDEST = 400
"""Width of a panel at least, in pixels, so that its text fits."""


@torch.no_grad()
def draw_bottomup(
    model: BottomupPoseEstimator, batch: dict, links: list[tuple[int, int]]
) -> list[np.ndarray]:
    """Draw what a model makes of a batch.

    Poses are those of the model's ``test_cfg``; the maps are shown as they are at scale 1 without
    flip.

    Args:
        model: in evaluation mode, with a :class:`~hsjp_mm.models.HigherHRNetHead`.
        batch: as collated by the loader of the test.
        links: pairs of keypoints to be joined by a line, ``metainfo['skeleton_links']``.

    Returns:
        for each image a board (height, width, 3), RGB, uint8.
    """
    samples = model.test_step(batch)
    first = batch['inputs'][0]
    images = batch['inputs'] if isinstance(first, Tensor) else first  # of a pyramid
    inputs = model.data_preprocessor({**batch, 'inputs': images}, False)['inputs']
    heatmaps, tags = model.head(model.extract_feat(inputs))
    return [
        bottomup_board(
            to_rgb(model, inputs[i]), [maps[i].cpu() for maps in heatmaps], tags[i].cpu(),
            sample, links,
        )
        for i, sample in enumerate(samples)
    ]  # fmt: skip


def bottomup_board(
    image: np.ndarray, heatmaps: list[Tensor], tags: Tensor, sample, links: list[tuple[int, int]]
) -> np.ndarray:
    """Draw the maps and the persons of an image.

    Two pictures a row: the poses, each in the color of its median tag; the tags, in each cell that
    of the keypoint with the greatest heat there; and for each resolution the greatest heat of all
    keypoints. The bar above the tags is the range of the poses; those above the heat go from 0 to 1
    for every network. A ring without lines is a keypoint whose own tag is another's: refining put
    it there, or two persons meet.

    Args:
        image: (H, W, 3), what the network sees, RGB, uint8.
        heatmaps: (K, h, w) for each resolution, the coarsest first, at 1/4.
        tags: (K, h, w) at 1/4.
        sample: data sample with ``pred_instances`` in pixels of the original image, and how that
            lies in the input.
        links: pairs of keypoints to be joined.

    Returns:
        (height, width, 3), RGB, uint8.
    """
    window, size = _view(sample, image)
    keypoints = to_input(sample.pred_instances.keypoints, sample.metainfo)
    known = sample.pred_instances.keypoint_scores > 0
    medians, own = _person_tags(tags, keypoints, known)
    low, high = (medians.min(), medians.max()) if len(medians) else (0.0, 0.0)

    def enlarged(pixels: np.ndarray, interpolation: int = cv2.INTER_NEAREST) -> np.ndarray:
        pixels = cv2.resize(pixels, image.shape[1::-1], interpolation=interpolation)
        return cv2.resize(pixels[window], size, interpolation=interpolation)

    def over(colors: np.ndarray, share: np.ndarray) -> np.ndarray:
        share = enlarged(share)[..., None]
        return (share * enlarged(colors) + (1 - share) * DIM * base).astype(np.uint8)

    base = enlarged(image, cv2.INTER_LINEAR)
    corner = (window[1].start, window[0].start)
    places = (keypoints - corner) * (base.shape[1] / (window[1].stop - window[1].start))
    poses = _poses(base, places, known, own, _tag_colors(medians, low, high), links)
    strongest, k = heatmaps[0].max(dim=0)
    strongest_tags = tags.gather(0, k[None])[0].numpy()
    seen = (strongest / SEEN).clamp(0, 1).numpy()
    panels = [
        _panel(f'{len(medians)} persons in the colors of their tags', poses),
        _tag_panel(over(_tag_colors(strongest_tags, low, high), seen), low, high),
    ]
    for level, maps in enumerate(heatmaps):
        heat = maps.amax(dim=0).clamp(0, 1).numpy()
        text = f'heat at 1/{STRIDE // 2**level}: {maps.shape[2]}x{maps.shape[1]}'
        panels.append(_panel(f'{text}, up to {maps.max():.2f}', over(_rgb(HEAT(heat)), heat)))
        _write_legend(panels[-1], _rgb(HEAT(np.linspace(0, 1, BAR))), ('0', '1'))
    if len(panels) % 2:
        panels.append(np.full_like(panels[0], 255))
    return np.vstack([np.hstack(panels[i : i + 2]) for i in range(0, len(panels), 2)])


def _view(sample, image: np.ndarray) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Where the image lies in the input (rows, columns), and the (width, height) of a picture."""
    height, width = sample.ori_shape
    corners = to_input(np.array([[0, 0], [width, height]]), sample.metainfo).round().astype(int)
    (left, top), (right, bottom) = corners.clip(0, image.shape[1::-1])
    zoom = SIDE / max(right - left, bottom - top)
    size = (max(round((right - left) * zoom), 1), max(round((bottom - top) * zoom), 1))
    return (slice(top, bottom), slice(left, right)), size


def _person_tags(
    tags: Tensor, keypoints: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The median tag (N,) of each person, and which known keypoints (N, K) are nearer to it than 1.

    Keypoints (N, K, 2) are in pixels of the input.
    """
    cells = (keypoints / STRIDE).astype(int).clip(0, np.array(tags.shape[:0:-1]) - 1)
    values = tags.numpy()[np.arange(len(tags)), cells[..., 1], cells[..., 0]]
    medians = np.array([np.median(one[found]) for one, found in zip(values, known, strict=True)])
    return medians, known & (abs(values - medians.reshape(-1, 1)) < 1)


def _tag_colors(tags: np.ndarray, low: float, high: float) -> np.ndarray:
    shares = (tags - low) / (high - low) if high > low else np.full_like(tags, 0.5)
    return _rgb(TAGS(0.1 + 0.8 * shares.clip(0, 1)))  # without the dark ends


def _rgb(colors: np.ndarray) -> np.ndarray:
    return (255 * colors[..., :3]).round().astype(np.uint8)


def _poses(
    base: np.ndarray,
    places: np.ndarray,
    known: np.ndarray,
    own: np.ndarray,
    colors: np.ndarray,
    links: list[tuple[int, int]],
) -> np.ndarray:
    """Draw N persons of keypoints (N, K, 2) on a picture, each in its color."""
    picture = (base * 0.7).astype(np.uint8)
    for n, color in enumerate(colors.tolist()):
        points = places[n].round().astype(int).tolist()
        for a, b in links:
            if own[n, a] and own[n, b]:
                cv2.line(picture, points[a], points[b], color, 2, cv2.LINE_AA)
        for k in np.flatnonzero(known[n]):
            if own[n, k]:
                cv2.circle(picture, points[k], 4, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(picture, points[k], 3, color, -1 if own[n, k] else 1, cv2.LINE_AA)
    return picture


def _panel(text: str, picture: np.ndarray) -> np.ndarray:
    """Put a line of text above a picture and a margin around both."""
    height, width = picture.shape[:2]
    panel = np.full((height + LINE + GAP, max(width, WIDEST) + 2 * GAP, 3), 255, np.uint8)
    panel[LINE : LINE + height, GAP : GAP + width] = picture
    write(panel, text, GAP, LINE - 8, scale=0.45)
    return panel


def _write_legend(panel: np.ndarray, colors: np.ndarray, ends: tuple[str, str]) -> None:
    write_legend(panel, colors, ends, panel.shape[1] - GAP, LINE - 8)


def _tag_panel(picture: np.ndarray, low: float, high: float) -> np.ndarray:
    """A panel with the colors of the tags from the lowest to the highest above the picture."""
    ends = different_texts(low, high)
    if ends is None:
        return _panel(f'tags at 1/{STRIDE}, without a range', picture)
    panel = _panel(f'tags at 1/{STRIDE}', picture)
    _write_legend(panel, _tag_colors(np.linspace(low, high, BAR), low, high), ends)
    return panel


def different_texts(low: float, high: float) -> tuple[str, str] | None:
    """Write two numbers with as many decimals as tell them apart, one or more; None if none do."""
    for decimals in range(1, 8):  # a float32 has no more
        if round(low, decimals) != round(high, decimals):
            return f'{low:.{decimals}f}', f'{high:.{decimals}f}'
    return None
