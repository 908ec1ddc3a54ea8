"""Made-up inputs of the measurements of `hsjp-mm benchmark`."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from mmpose.codecs import MSRAHeatmap
from mmpose.structures import PoseDataSample
from torch import Tensor

from hsjp_mm.datasets.image_files import read_image, write_picture
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.utils.files import read_json

DRAWN = 128
"""The maps to decode are drawn with so many cells a side, and then enlarged."""
NOISE = 3
"""Standard deviation, in levels of 255, of what is added to photographs that are enlarged."""


def stock_sample(keypoints: int, side: int) -> PoseDataSample:
    """Make the targets that the stock data pipeline makes, for keypoints at random places."""
    codec = MSRAHeatmap((side, side), (side // 4, side // 4), sigma=2)
    places = np.random.default_rng(0).uniform(0, side, (1, keypoints, 2))
    encoded = codec.encode(places, np.ones((1, keypoints)))
    sample = PoseDataSample()
    sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
    weights = torch.from_numpy(encoded['keypoint_weights'])
    sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
    return sample


def mesh_sample(side: int) -> PoseDataSample:
    """Make what hsjp_mm.PackMeshInputs makes, for the upright mean body before the camera."""
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[0, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    joints, known = len(joint_names('mesh_22')), torch.ones(1)
    sample = PoseDataSample()
    sample.gt_instances = InstanceData(
        keypoints=torch.rand(1, joints, 2) * side, keypoints_visible=torch.ones(1, joints),
        joints=torch.randn(1, joints, 3), joints_weight=torch.ones(1, joints),
        rotations=rotations, has_pose=known, shape=torch.zeros(1, 10), has_shape=known,
    )  # fmt: skip
    sample.gt_fields = PixelData(part_map=torch.randint(0, 25, (1, side // 4, side // 4)))
    crop = np.array([side / 2, side / 2, side], np.float32)
    camera = np.array([side, side, side / 2, side / 2], np.float32)
    sample.set_metainfo({'crop': crop, 'camera': camera})
    return sample


def draw_maps(num_persons: int, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw heat maps (1, 17, size, size) and tags (1, 34, size, size) of some persons."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:DRAWN, :DRAWN].astype(np.float32)
    heatmaps = rng.normal(0, 0.01, (17, DRAWN, DRAWN))
    tags = rng.normal(0, 0.1, (2, 17, DRAWN, DRAWN)) + rng.uniform(-1, 1, (2, 17, 1, 1))
    for tag in rng.uniform(-10, 10, num_persons):
        center = rng.uniform(0.1, 0.9, 2) * DRAWN
        extent = rng.uniform(0.03, 0.12) * DRAWN
        for k in range(17):
            at = (center + rng.normal(0, extent, 2)).clip(0, DRAWN - 1)
            square = (x - at[0]) ** 2 + (y - at[1]) ** 2
            score = rng.uniform(0, 0.08) if rng.random() < 0.2 else rng.uniform(0.4, 1)
            # six deviations: beyond it are numbers so small that CPUs are slow with them
            near = square < 12**2
            gaussian = score * np.exp(-square[near] / 2 / 2**2)
            heatmaps[k, near] = np.maximum(heatmaps[k, near], gaussian)
            near = square < 6**2
            tags[:, k, near] = tag + rng.normal(0, 0.05, (2, near.sum()))
    maps = torch.from_numpy(np.concatenate([heatmaps, *tags])).float()[None]
    maps = F.interpolate(maps, size=(size, size), mode='bilinear', align_corners=False)
    return maps[:, :17].contiguous(), maps[:, 17:].contiguous()


def synthetic_coco(num_images: int, num_boxes: int) -> dict:
    rng = np.random.default_rng(0)
    images = [
        {'id': i, 'file_name': f'{i}.jpg', 'width': 640, 'height': 480} for i in range(num_images)
    ]
    owners = np.sort(np.r_[:num_images, rng.integers(0, num_images, num_boxes - num_images)])
    boxes = np.hstack([rng.uniform(0, 300, (num_boxes, 2)), rng.uniform(20, 180, (num_boxes, 2))])
    keypoints = rng.integers(0, 400, (num_boxes, 17, 3))
    keypoints[..., 2] = 2
    annotations = [
        {
            'id': i, 'image_id': int(owners[i]), 'category_id': 1, 'iscrowd': 0,
            'area': float(box[2] * box[3]), 'bbox': box.round(2).tolist(), 'num_keypoints': 17,
            'keypoints': keypoints[i].ravel().tolist(),
        }
        for i, box in enumerate(boxes)
    ]  # fmt: skip
    return {
        'images': images, 'annotations': annotations, 'categories': [{'id': 1, 'name': 'person'}]
    }  # fmt: skip


def enlarge_coco(
    data: str, split: str, num_persons: int, pixels: float, folder: str
) -> tuple[int, int]:
    """Write the photographs of some persons enlarged, as COCO's folders and file have them.

    Noise is added, for an enlarged picture is smooth and takes few bytes.

    Returns:
        How many photographs, and their bytes.
    """
    name = f'annotations/person_keypoints_{split}.json'
    coco = read_json(Path(data, name), 'data')
    labelled = [row for row in coco['annotations'] if row.get('num_keypoints')]
    persons = [row for row in labelled if not row.get('iscrowd')][:num_persons]
    wanted = {row['image_id'] for row in persons}
    coco['images'] = [image for image in coco['images'] if image['id'] in wanted]
    coco['annotations'] = persons
    places = {path: Path(folder, path) for path in (name, split)}
    places[split].mkdir()
    places[name].parent.mkdir()
    factors, size = {}, 0
    for image in coco['images']:
        small = read_image(Path(data, split, image['file_name']))
        factor = factors[image['id']] = math.sqrt(pixels / (image['width'] * image['height']))
        image['width'], image['height'] = (
            round(factor * image[side]) for side in ('width', 'height')
        )
        large = cv2.resize(small, (image['width'], image['height']), interpolation=cv2.INTER_CUBIC)
        noise = np.empty(large.shape, np.int16)
        cv2.randn(noise, np.zeros(3), np.full(3, NOISE, float))
        path = places[split] / Path(image['file_name']).with_suffix('.jpg').name
        image['file_name'] = path.name
        write_picture(path, cv2.add(large, noise, dtype=cv2.CV_8U))
        size += path.stat().st_size
    for row in persons:
        factor = factors[row['image_id']]
        row['bbox'] = [factor * value for value in row['bbox']]
        row['area'] = factor**2 * row['area']
        points = np.array(row['keypoints'], float).reshape(-1, 3) * [factor, factor, 1]
        row['keypoints'] = points.ravel().tolist()
        row.pop('segmentation', None)
    places[name].write_text(json.dumps(coco))
    return len(coco['images']), size
