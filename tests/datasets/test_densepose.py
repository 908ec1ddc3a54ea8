import json

import numpy as np
import pytest
from mmengine.registry import DATASETS
from scipy.io import savemat

from hsjp_mm.datasets.densepose import read_symmetry

STEPS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='hsjp_mm.TopdownDenseAffine', input_size=(48, 64)),
    dict(type='PackPoseInputs'),
]


def build(folder, ann_file: str = 'densepose.json', flip: bool = False, **options):
    flips = [dict(type='RandomFlip', prob=1.0)] if flip else []
    return DATASETS.build(
        dict(
            type='hsjp_mm.DensePoseDataset', data_root=str(folder), ann_file=ann_file,
            data_prefix=dict(img='images'), pipeline=[*STEPS[:2], *flips, *STEPS[2:]], **options,
        )
    )  # fmt: skip


def write_symmetry(path) -> np.ndarray:
    """Tables in the layout of DensePose's file: a cell array of 24 for U and for V."""
    tables = np.random.RandomState(0).rand(2, 24, 256, 256).astype(np.float32)
    cells = np.empty((2, 1, 24), object)
    for kind in range(2):
        for chart in range(24):
            cells[kind, 0, chart] = tables[kind, chart]
    savemat(path, {'U_transforms': cells[0], 'V_transforms': cells[1]})
    return tables


def test_points_lie_where_the_official_layout_says(dense_bodies):
    data = build(dense_bodies)
    assert len(data) == 4 and data.left_out['without dp_x'] == 0  # left out as it has no masks
    rows = json.loads((dense_bodies / 'densepose.json').read_text())['annotations']
    for index in range(4):
        info, row = data.get_data_info(index), rows[index]
        left, top, width, height = row['bbox']
        # DensePose: x of the box's left edge + dp_x / 256 of its width; half a mask's pixel and
        # half a pixel of the image on, for both are counted from the middle of their pixels here
        x = left + (np.array(row['dp_x']) + 0.5) / 256 * width - 0.5
        y = top + (np.array(row['dp_y']) + 0.5) / 256 * height - 0.5
        np.testing.assert_allclose(info['dense_points'], np.stack([x, y], axis=1), rtol=1e-5)
        assert info['dense_charts'].tolist() == row['dp_I']
        assert info['dense_charts'].dtype == np.int64
        np.testing.assert_allclose(info['dense_uv'][:, 1], row['dp_V'], rtol=1e-6)


def test_flips_need_the_symmetry_of_the_charts(dense_bodies, tmp_path):
    with pytest.raises(ValueError, match=r"symmetry_file='': .*UV_symmetry_transforms\.mat"):
        build(dense_bodies, flip=True)
    tables = write_symmetry(tmp_path / 'symmetry.mat')
    data = build(dense_bodies, flip=True, symmetry_file=str(tmp_path / 'symmetry.mat'))
    info = data.get_data_info(0)
    found = data[0]['data_samples'].gt_instance_labels
    for i in range(18):
        chart = info['dense_charts'][i]
        u, v = (int(value * 255) for value in info['dense_uv'][i])
        expected = tables[:, chart - 1, v, u]
        np.testing.assert_allclose(found.dense_uv[0, i], expected, rtol=1e-6)
        pair = {2: 2, 16: 15, 15: 16, 7: 8, 8: 7, 24: 23}
        assert found.dense_charts[0, i] == pair[chart]


def test_a_file_that_is_no_symmetry_is_refused(tmp_path):
    path = tmp_path / 'symmetry.mat'
    with pytest.raises(FileNotFoundError, match='symmetry_file='):
        read_symmetry(path)
    path.write_text('no mat file, but long enough to have the head of one' * 9)
    with pytest.raises(ValueError, match='must hold U_transforms and V_transforms'):
        read_symmetry(path)
    savemat(path, {'U_transforms': np.zeros((1, 3))})
    with pytest.raises(ValueError, match='V_transforms'):
        read_symmetry(path)
    savemat(path, {name: np.zeros((2, 2)) for name in ('U_transforms', 'V_transforms')})
    with pytest.raises(ValueError, match='24 tables of 256×256'):
        read_symmetry(path)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('dp_I', [25.0] * 18, 'id 2: dp_I must be whole numbers from 1 to 24'),
        ('dp_I', [1.5] * 18, 'id 2: dp_I must be whole numbers from 1 to 24'),
        ('dp_U', [0.1] * 17, 'id 2: dp_x, dp_y, dp_I, dp_U, dp_V must be lists'),
        ('dp_V', None, 'id 2: dp_x, dp_y, dp_I, dp_U, dp_V must be lists'),
        ('dp_y', [float('nan')] * 18, 'id 2: .*finite numbers'),
    ],
)
def test_faulty_points_are_refused(dense_bodies, tmp_path, key, value, message):
    content = json.loads((dense_bodies / 'densepose.json').read_text())
    content['annotations'][2][key] = value
    (tmp_path / 'changed.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        build(dense_bodies, str(tmp_path / 'changed.json'))


def test_the_plain_form_has_no_points(dense_bodies):
    with pytest.raises(ValueError, match='lists parts of its own, but DensePose has 14'):
        build(dense_bodies, 'parts.json')
