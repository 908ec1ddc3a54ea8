import numpy as np
import pytest
from scipy.io import savemat

from hsjp_mm.datasets.converters.mupots import convert, fit_camera
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.datasets.converters.scene import person, project
from tests.helpers import cuts

CAMERA = np.array([1500.0, 1501.0, 1030.0, 1015.0])
# SMPL's joints in the order of MuPoTS
ORDER = [15, 12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 0, 6, 15]


def joints(frame: int, who: int) -> np.ndarray:
    return person(10 * who + frame, (0.4 * who, 0.1, 4 + 0.2 * frame)).joints[ORDER]


def write_sequence(root, number: int, unit: float = 1000, frames: int = 2):
    """Two persons, of whom the second one is not valid in the second frame."""
    cells = np.empty((frames, 2), object)
    for frame in range(frames):
        for who in range(2):
            metric = joints(frame, who)
            cells[frame, who] = {
                'annot2': project(metric, CAMERA).T,
                'annot3': metric.T * unit,
                'univ_annot3': 1.1 * metric.T * unit,
                'isValidFrame': np.uint8(not (frame and who)),
            }
    folder = root / f'TS{number}'
    folder.mkdir(parents=True)
    savemat(folder / 'annot.mat', {'annotations': cells})


def test_valid_persons(tmp_path):
    for number in (1, 6):
        write_sequence(tmp_path, number)
    found = convert(tmp_path, tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert found.number == 6
    assert found.left_out == {'that are not valid': 2}
    assert '2 of 20 sequences are there' in str(found)
    np.testing.assert_allclose(labels['joints'][1, :, :3], 1.1 * joints(0, 1), atol=1e-5)
    np.testing.assert_allclose(labels['camera'], np.tile(CAMERA, (6, 1)), rtol=1e-4)
    wrist = joint_names('mupots_17').index('left_wrist')
    expected = project(joints(1, 0), CAMERA)[wrist]
    np.testing.assert_allclose(labels['keypoints'][2, wrist], [*expected, 1], atol=1e-2)
    assert labels['image_path'].tolist()[1:4] == [
        'TS1/img_000000.jpg', 'TS1/img_000001.jpg', 'TS6/img_000000.jpg',
    ]  # fmt: skip
    assert labels['image_size'].tolist()[2:4] == [[2048, 2048], [1920, 1080]]
    assert labels['sequence'].tolist() == ['TS1'] * 3 + ['TS6'] * 3
    metric = convert(tmp_path, tmp_path / 'metric.npz', joints='metric')
    labels = read_mesh_file(tmp_path / 'metric.npz')
    np.testing.assert_allclose(labels['joints'][1, :, :3], joints(0, 1), atol=1e-5)
    assert 'the metric ones (annot3)' in str(metric)


def test_the_camera_brings_joints_to_points():
    points = np.concatenate([joints(0, 0), joints(1, 1)])
    found = fit_camera(project(points, CAMERA), points, 'here')
    np.testing.assert_allclose(found, CAMERA, rtol=1e-9)
    with pytest.raises(ValueError, match='here: annot3 is not what annot2 shows'):
        fit_camera(np.random.default_rng(0).uniform(0, 2000, (34, 2)), points, 'here')
    with pytest.raises(ValueError, match='here: annot3 must be before the camera'):
        fit_camera(points[:, :2], -points, 'here')


def test_mistakes(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'has no TS\*/annot.mat'):
        convert(tmp_path, tmp_path / 'out.npz')
    with pytest.raises(ValueError, match="joints='x' must be one of universal, metric"):
        convert(tmp_path, tmp_path / 'out.npz', joints='x')
    write_sequence(tmp_path, 3, unit=1)
    with pytest.raises(ValueError, match='which no body is in meters'):
        convert(tmp_path, tmp_path / 'out.npz')
    savemat(tmp_path / 'TS3/annot.mat', {'other': 1})
    with pytest.raises(ValueError, match="must hold the cells 'annotations'"):
        convert(tmp_path, tmp_path / 'out.npz')


def test_a_file_that_is_cut_off_is_named(tmp_path):
    write_sequence(tmp_path, 3)
    for _ in cuts(tmp_path / 'TS3/annot.mat'):
        with pytest.raises(ValueError, match=r'TS3/annot\.mat must hold the cells'):
            convert(tmp_path, tmp_path / 'out.npz')
