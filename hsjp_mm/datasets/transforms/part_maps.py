"""Labels of parts that are drawn from a labelled body.

Sizes are (width, height) in pixels or cells.
"""

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from hsjp_mm.datasets.transforms.mesh import PART_STRIDE
from hsjp_mm.ops.cameras import crop_to_image, fit_translation, input_to_crop
from hsjp_mm.ops.rasterize import rasterize
from hsjp_mm.registry import MODELS, TRANSFORMS

POSE = ('rotations', 'shape')


@TRANSFORMS.register_module()
class RenderPartMap(BaseTransform):
    """Draw the map of parts of a labelled pose, for samples that have none.

    PARE makes its part labels so. The body is posed and placed before the camera: by its
    translation where that is known, else where its joints are nearest to the 2D labels. A cell has
    the part of the body that it sees first; other persons and things in front are not known.

    It stands after the crop is cut, and before ``hsjp_mm.MeshOccluders``. Samples without a pose,
    or without two 2D labels to place it by, stay as they are.

    Required keys: those of MeshAffine and ``rotations``, ``shape``, ``translation``,
    ``has_pose``, ``has_translation``, ``keypoints``, ``keypoints_visible``, ``joint_set``. Added
    key: ``part_map`` (1, H / 4, W / 4) uint8, 0 for the background, 1 + i for the part of joint i.

    Args:
        body: the body model; :class:`~hsjp_mm.models.MeshEstimator` tells its own through
            ``hsjp_mm.PrepareDataHook``.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='hsjp_mm.RandomMeshAffine', input_size=(224, 224)),
        ...     dict(type='hsjp_mm.RenderPartMap'),
        ...     dict(type='hsjp_mm.PackMeshInputs'),
        ... ]
    """

    def __init__(self, body: dict | None = None):
        self.body_cfg = body or dict(type='hsjp_mm.BodyModel', file='free')
        self.built: tuple[dict, Any] | None = None

    def transform(self, results: dict) -> dict:
        """Draw ``results['part_map']``."""
        if 'part_map' in results or not results['has_pose']:
            return results
        body = self._body()
        with torch.no_grad():
            rotations, shape = (torch.from_numpy(results[key])[None] for key in POSE)
            posed = body(rotations, shape)
            translation = _place(results, body, posed)
        if translation is None:
            return results
        width, height = (length // PART_STRIDE for length in results['input_size'])
        vertices, faces = posed.vertices[0].numpy() + translation, body.faces.numpy()
        raster = rasterize(vertices, faces, _camera_of_cells(results), (width, height))
        seen = raster.faces >= 0
        corners = faces[raster.faces[seen]]
        nearest = np.take_along_axis(corners, raster.weights[seen].argmax(axis=1)[:, None], axis=1)
        part_map = np.zeros((1, height, width), np.uint8)
        part_map[0, seen] = body.parts.numpy()[nearest[:, 0]] + 1
        results['part_map'] = part_map
        return results

    def _body(self) -> Any:
        if self.built is None or self.built[0] != self.body_cfg:
            self.built = self.body_cfg, MODELS.build(self.body_cfg)
        return self.built[1]


def _place(results: dict, body: Any, posed: Any) -> np.ndarray | None:
    """Where the body stands, (3,); None if there is nothing to tell it by."""
    if results['has_translation']:
        return results['translation']
    weights = torch.from_numpy(results['keypoints_visible'])[0]
    if (weights > 0).sum() < 2:
        return None
    keypoints, crop = (torch.from_numpy(results[key]).double() for key in ('keypoints', 'crop'))
    pixels = crop_to_image(input_to_crop(keypoints[0], results['input_size']), crop)
    points = body.keypoints(posed, results['joint_set'])[0]
    camera = torch.from_numpy(results['camera'])
    found = fit_translation(points, pixels, weights, camera[:2].mean(), camera[2:]).numpy()
    return found if np.isfinite(found).all() and found[2] > 0 else None


def _camera_of_cells(results: dict) -> np.ndarray:
    """The camera whose pixels are the cells of the map: cell (i, j) is at input pixel (4i, 4j)."""
    center, side = results['crop'][:2].astype(float), float(results['crop'][2])
    size, camera = np.array(results['input_size']), results['camera'].astype(float)
    cells = size.max() / side / PART_STRIDE
    principal = (camera[2:] - center) * cells + size / 2 / PART_STRIDE
    return np.array([*(camera[:2] * cells), *principal])
