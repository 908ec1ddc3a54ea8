"""DensePose-COCO: points of persons with their place on the body's surface.

Letters: P points of a person. A place on the surface is a chart, 1 to 24, and U and V in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from mmpose.datasets.transforms import RandomFlip
from scipy.io import loadmat

from hsjp_mm.datasets.coco_files import CocoFile, Entries
from hsjp_mm.datasets.part_masks import PartMaskDataset
from hsjp_mm.ops.part_labels import CHART_MIRROR, CHARTS
from hsjp_mm.registry import DATASETS
from hsjp_mm.utils.files import reading

KEYS = ('dp_x', 'dp_y', 'dp_I', 'dp_U', 'dp_V')
TABLES = ('U_transforms', 'V_transforms')
STEPS = 255
"""The symmetry's tables have an entry for each of 0/255, 1/255, …, 255/255."""
NEEDS_SYMMETRY = (
    'a flipped person has other U and V, which only the symmetry of the charts tells: give the '
    "data set symmetry_file, the path of DensePose's UV_symmetry_transforms.mat, or leave "
    'RandomFlip out of the pipeline'
)


@dataclass(frozen=True)
class UVSymmetry:
    """What U and V become in a flipped image.

    Attributes:
        tables: (2, 24, 256, 256) the new U and the new V by the old chart, V and U.
    """

    tables: np.ndarray

    def flip(self, charts: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bring P points to the other side of the body.

        Args:
            charts: (P,), 1 to 24.
            uv: (P, 2), each from 0 to 1.

        Returns:
            The same of the flipped image.
        """
        u, v = (np.clip(uv, 0, 1) * STEPS).astype(int).T
        return CHART_MIRROR[charts], self.tables[:, charts - 1, v, u].T.astype(uv.dtype)


def read_symmetry(path: str | Path) -> UVSymmetry:
    """Read DensePose's ``UV_symmetry_transforms.mat``.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it does not hold the two lists of 24 tables.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'symmetry_file={str(path)!r} does not exist')
    with reading(f'symmetry_file={str(path)!r} must hold {" and ".join(TABLES)}'):
        content = loadmat(path)
        tables = [[np.asarray(t, np.float32) for t in content[k].ravel()] for k in TABLES]
        stacked = np.array(tables)
    if stacked.shape != (2, CHARTS, STEPS + 1, STEPS + 1):
        raise ValueError(
            f'symmetry_file={str(path)!r} must hold {CHARTS} tables of {STEPS + 1}×{STEPS + 1} '
            f'under {" and ".join(TABLES)}; their shape is {stacked.shape}'
        )
    return UVSymmetry(stacked)


@DATASETS.register_module()
class DensePoseDataset(PartMaskDataset):
    """The annotations of `DensePose-COCO <https://arxiv.org/abs/1802.00434>`_.

    The official files as they are: COCO's 2014 images, and for some of the persons 14 masks of body
    parts, as in :class:`PartMaskDataset`, and about a hundred points: ``dp_x`` and ``dp_y``, from 0
    to 255 over the box, ``dp_I``, the chart of the body's surface from 1 to 24, and ``dp_U`` and
    ``dp_V``, the place in it. A point (x, y) is taken to lie in the middle of the masks' pixel
    (x, y). Persons without points are left out, and the log counts them.

    Each data sample holds what PartMaskDataset gives, and ``dense_points`` (P, 2), (x, y) in pixels
    of the image, ``dense_charts`` (P,), ``dense_uv`` (P, 2) and, with ``symmetry_file``,
    ``uv_symmetry``.

    Args:
        ann_file, base: as in PartMaskDataset.
        symmetry_file: DensePose's ``UV_symmetry_transforms.mat``, relative to ``data_root``, which
            tells what U and V become in a flipped image. It comes with DensePose's own data.

    Raises:
        ValueError: points that are not as above; RandomFlip in the pipeline without
            ``symmetry_file``.
        FileNotFoundError: ``symmetry_file`` is missing.

    Examples:
        With flipped images too:

        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetBBoxCenterScale'),
        ...     dict(type='RandomFlip', direction='horizontal'),
        ...     dict(type='hsjp_mm.TopdownDenseAffine', input_size=(192, 256)),
        ...     dict(type='PackPoseInputs'),
        ... ]
        >>> dataset = dict(
        ...     type='hsjp_mm.DensePoseDataset',
        ...     data_root='data/coco/',
        ...     ann_file='annotations/densepose_train2014.json',
        ...     symmetry_file='annotations/UV_symmetry_transforms.mat',
        ...     data_prefix=dict(img='train2014/'),
        ...     pipeline=train_pipeline,
        ... )
    """

    METAINFO: ClassVar[dict] = {'charts': CHARTS}

    def __init__(self, ann_file: str = '', *, symmetry_file: str = '', **base):
        self.symmetry_file = symmetry_file
        self._symmetry: UVSymmetry | None = None
        super().__init__(ann_file, **base)

    def full_init(self):
        """Read the symmetry, if flips need one, and the annotations."""
        if self._fully_initialized:
            return
        if self.symmetry_file:
            root = Path(self.data_root or '')
            self._symmetry = read_symmetry(root / self.symmetry_file)
        elif any(isinstance(step, RandomFlip) for step in self.pipeline.transforms):
            raise ValueError(f"symmetry_file='': {NEEDS_SYMMETRY}")
        super().full_init()

    def _find_labels(self, coco: CocoFile) -> None:
        super()._find_labels(coco)
        if self._key != 'dp_masks':
            raise ValueError(
                f'ann_file={self.ann_file!r}: its category lists parts of its own, but DensePose '
                'has 14 fixed ones, dp_masks; for other parts take hsjp_mm.PartMaskDataset'
            )

    def _label_keys(self) -> tuple[str, ...]:
        return *super()._label_keys(), *KEYS

    def _without_labels(self, boxes: Entries) -> dict[str, np.ndarray]:
        without = np.array([not row.get('dp_x') for row in boxes], bool)
        return {**super()._without_labels(boxes), 'without dp_x': without}

    def _labels(self, boxes: Entries, row: dict) -> dict:
        labels = super()._labels(boxes, row)
        try:
            x, y, charts, u, v = (np.asarray(row[key], float) for key in KEYS)
            values = np.stack([x, y, charts, u, v], axis=1)
        except (KeyError, TypeError, ValueError) as error:
            raise boxes.error(
                row, f'{", ".join(KEYS)} must be lists of numbers, one a point: {error}'
            ) from error
        if not np.isfinite(values).all() or values.ndim != 2:
            raise boxes.error(row, f'{", ".join(KEYS)} must be lists of finite numbers')
        if not np.isin(charts, np.arange(1, CHARTS + 1)).all():
            raise boxes.error(row, f'dp_I must be whole numbers from 1 to {CHARTS}')
        frame = labels['label_frame']
        points = values[:, :2] @ frame[:, :2].T + frame[:, 2]
        return {
            **labels,
            'dense_points': points.astype(np.float32),
            'dense_charts': charts.astype(np.int64),
            'dense_uv': values[:, 3:].astype(np.float32),
        }

    def get_data_info(self, idx: int) -> dict:
        """An instance, with the symmetry that all have in common."""
        return {**super().get_data_info(idx), 'uv_symmetry': self._symmetry}
