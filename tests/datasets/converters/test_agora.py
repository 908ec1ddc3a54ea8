import json

import numpy as np
import pytest

from hsjp_mm.datasets.converters.agora import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from hsjp_mm.models.body_models.by_gender import BodiesByGender
from tests.datasets.converters.scene import assert_same_body, person, project, smpl_folder

CAMERA = np.array([5333.3, 5333.3, 1920.0, 1080.0])
"""Of the images of 3840×2160, with a lens of 50 mm."""


@pytest.fixture
def folder(tmp_path):
    """A man, a child, and one that is not valid."""
    annotations = []
    for key, (gender, kid) in enumerate((('male', False), ('female', True), ('male', False))):
        seen = person(key, (0.1 * key, 0.1, 8))
        name = f'train_0/image_{key}'
        fit = {
            'global_orient': seen.pose[0].tolist(), 'body_pose': seen.pose[1:].ravel().tolist(),
            'betas': seen.shape.tolist(), 'transl': seen.translation.tolist(),
        }  # fmt: skip
        for path, value in (
            (f'smpl_params_cam/{name}/0.json', fit),
            (f'cam_params/{name}.json', {'focal': CAMERA[:2].tolist(), 'princpt': [1920, 1080]}),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(json.dumps(value))
        pixels = project(seen.joints, CAMERA)
        middle, half = (pixels.max(0) + pixels.min(0)) / 2, 1.2 * np.ptp(pixels, axis=0) / 2
        annotations.append(
            {
                'id': key, 'image_id': key, 'person_id': 0, 'gender': gender, 'kid': kid,
                'smpl_param_path': f'smpl_params_cam/{name}/0.json',
                'cam_param_path': f'cam_params/{name}.json', 'is_valid': key != 2,
                'bbox': [*(middle - half).tolist(), *(2 * half).tolist()],
            }
        )  # fmt: skip
    images = [
        {'id': key, 'file_name_1280x720': f'images_1280x720/train_0/image_{key}_1280x720.png'}
        for key in range(3)
    ]
    content = json.dumps({'images': images, 'annotations': annotations})
    (tmp_path / 'AGORA_train_SMPL.json').write_text(content)
    return tmp_path


def test_persons(folder, tmp_path):
    bodies = smpl_folder(tmp_path / 's')
    for gender in ('MALE', 'FEMALE'):  # whose shapes are others
        (bodies / f'SMPL_{gender}.npz').unlink()
    found = convert(folder, tmp_path / 'out.npz', bodies=BodiesByGender(bodies))
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert labels['id'].tolist() == [0, 1]
    assert found.left_out == {'that are not valid': 1}
    assert '1 children, of whom shape and translation are not taken' in found.notes
    assert_same_body(labels, 0, person(0, (0, 0.1, 8)))
    seen = person(0, (0, 0.1, 8)).joints
    pixels = project(seen, CAMERA) / 3
    np.testing.assert_allclose(labels['keypoints'][0, :, :2], pixels, atol=1e-2)
    np.testing.assert_allclose(labels['joints'][0, :, :3], seen, atol=1e-5)
    np.testing.assert_allclose(labels['box'][0], [*pixels.min(0), *pixels.max(0)], atol=1e-2)
    np.testing.assert_allclose(labels['camera'][0], CAMERA / 3, rtol=1e-6)
    assert labels['has_pose'].tolist() == [True, True]
    assert labels['has_shape'].tolist() == [True, False]
    assert not labels['joints'][1].any()
    assert labels['gender'].tolist() == ['neutral', 'neutral']


def test_without_smpl_there_are_no_points(folder, tmp_path):
    found = convert(folder, tmp_path / 'out.npz')
    labels = read_mesh_file(tmp_path / 'out.npz')
    assert 'joints' not in labels
    assert 'no joints and keypoints' in str(found)


def test_pickles_of_pandas_are_not_read(tmp_path):
    (tmp_path / 'SMPL').mkdir()
    (tmp_path / 'SMPL/train_0_withjv.pkl').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='holds pickles of pandas, which are not read'):
        convert(tmp_path, tmp_path / 'out.npz')
    with pytest.raises(ValueError, match="split='test' must be one of train, validation"):
        convert(tmp_path, tmp_path / 'out.npz', split='test')


@pytest.mark.parametrize(
    ('list_of', 'key', 'message'),
    [
        ('annotations', 'image_id', 'annotation 0: images has no 99'),
        ('annotations', 'smpl_param_path', "annotation 0 has no 'smpl_param_path'"),
        ('images', 'file_name_1280x720', "image 0 has no 'file_name_1280x720'"),
    ],
)
def test_what_is_missing_is_named(folder, tmp_path, list_of, key, message):
    content = json.loads((folder / 'AGORA_train_SMPL.json').read_text())
    if key == 'image_id':
        content[list_of][0][key] = 99
    else:
        del content[list_of][0][key]
    (folder / 'AGORA_train_SMPL.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        convert(folder, tmp_path / 'out.npz')
