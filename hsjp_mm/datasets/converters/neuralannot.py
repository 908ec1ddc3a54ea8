"""COCO with the poses and shapes of NeuralAnnot, `<https://arxiv.org/abs/2011.11232>`_."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from hsjp_mm.datasets.coco_files import fill_empty_keypoints, read_coco
from hsjp_mm.datasets.converters.samples import Conversion, Samples, box_of_xywh, item, numbers
from hsjp_mm.utils.files import read_json
from hsjp_mm.utils.progress import track

PERSONS = 149_813
"""With keypoints in COCO's train2017."""


def convert(source: str | Path, out: str | Path, labels: str | Path) -> Conversion:
    """Convert the persons of COCO that have keypoints.

    Persons without a fit stay, for their keypoints. An image has one camera. If fits of one image
    are in different ones, these are cameras before the boxes of persons: of the whole file neither
    they nor the translations, which are in their frames, are taken.

    Args:
        source: COCO's ``person_keypoints_train2017.json``.
        out: The file to write.
        labels: ``MSCOCO_train_SMPL_NeuralAnnot.json``: by annotation id, ``smpl_param`` with
            ``pose`` (72), ``shape`` (10) and ``trans`` (3), in the camera of ``cam_param``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not of its format, or no fit belongs to an annotation.
    """
    coco = read_coco(source, 'source', ('images', 'annotations'))
    fill_empty_keypoints(coco)
    fits = read_json(labels, 'labels')
    if not isinstance(fits, dict):
        raise ValueError(f'labels={str(labels)!r} must hold fits by the ids of annotations')
    images = {image['id']: image for image in coco.images}
    sizes = dict(zip(images, np.nan_to_num(coco.sizes()), strict=True))
    samples = Samples(Path(source).name, keypoint_set='coco_17')
    coco.annotations.ids('image_id')
    found = {
        row['id']: _fit(fits[str(row['id'])], row['id'])
        for row in coco.annotations
        if str(row['id']) in fits
    }
    if _has_cameras_of_persons(coco.annotations, found):
        found = {key: {**fit, 'camera': None, 'translation': None} for key, fit in found.items()}
        samples.notes.append(
            'fits of one image are in different cameras, which are not that of the image: no '
            'camera and no translation is taken'
        )
    used = set()
    for row in track(list(coco.annotations), 'persons'):
        keypoints = numbers(row.get('keypoints') or [0] * 51, (17, 3), f'keypoints of {row["id"]}')
        labelled = keypoints[:, 2] > 0
        if row.get('iscrowd'):
            samples.leave_out('crowd regions')
            continue
        if not labelled.any():
            samples.leave_out('without keypoints')
            continue
        image = item(images, row['image_id'], f'annotation {row["id"]}: images')
        size = sizes[image['id']]
        box = box_of_xywh(numbers(row.get('bbox'), (4,), f'bbox of {row["id"]}'), size)
        if box is None:
            samples.leave_out('with an empty box')
            continue
        keypoints[:, 2] = labelled
        keypoints[~labelled] = 0
        used.add(str(row['id']))
        samples.add(
            id=row['id'],
            image_path=item(image, 'file_name', f'image {image["id"]}'),
            image_size=size.astype(int),
            box=box,
            keypoints=keypoints,
            **found.get(row['id'], {}),
        )
    if not used & fits.keys():
        raise ValueError(
            f'labels={str(labels)!r}: none of its {len(fits):,} fits belongs to a person of '
            f'{source}, by the ids of annotations; are both of train2017?'
        )
    if lost := len(fits.keys() - used):
        samples.notes.append(f'{lost:,} fits belong to no person that was taken')
    samples.notes.append(f'train2017 has {PERSONS:,} persons with keypoints')
    return samples.write(out)


def _fit(fit: dict, key) -> dict:
    where = f'labels, annotation {key}:'
    try:
        smpl, camera = fit['smpl_param'], fit['cam_param']
        pose = numbers(smpl['pose'], (24, 3), f'{where} pose')
        shape = numbers(smpl['shape'], (10,), f'{where} shape')
        translation = numbers(smpl['trans'], (3,), f'{where} trans')
        focal = numbers(camera['focal'], (2,), f'{where} focal')
        principal = numbers(camera['princpt'], (2,), f'{where} princpt')
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{where} must hold smpl_param (pose, shape, trans) and cam_param (focal, princpt); '
            f'{error}'
        ) from error
    if translation[2] <= 0:  # a person behind the camera says nothing of where it stands
        return {'pose': pose, 'shape': shape}
    camera = np.concatenate([focal, principal])
    return {'pose': pose, 'shape': shape, 'translation': translation, 'camera': camera}


def _has_cameras_of_persons(annotations: Iterable[dict], fits: Mapping[int, dict]) -> bool:
    """Whether any two fits of one image are in different cameras."""
    cameras: dict = {}
    for row in annotations:
        camera = fits.get(row['id'], {}).get('camera')
        if camera is not None:
            known = cameras.setdefault(row['image_id'], camera)
            if not np.allclose(known, camera, rtol=1e-4):
                return True
    return False
