import json

import numpy as np
import pytest

from hsjp_mm.datasets.converters.neuralannot import convert
from hsjp_mm.datasets.mesh_files import read_mesh_file
from tests.datasets.converters.scene import CAMERA, SIZE, assert_same_body, person, project

# SMPL's joints that stand for COCO's nose, eyes, ears, shoulders and so on
ORDER = [15, 15, 15, 15, 15, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8]


@pytest.fixture
def files(tmp_path):
    """Persons 11 and 12 with fits, 13 without one; a crowd, and one without keypoints."""
    annotations, fits = [], {}
    for key in (11, 12, 13, 14, 15):
        seen = person(key)
        pixels = project(seen.joints)[ORDER]
        visible = np.array([2] * 12 + [1, 0, 0, 0, 0])
        if key == 15:
            visible[:] = 0
        low, high = project(seen.joints).min(axis=0), project(seen.joints).max(axis=0)
        annotations.append(
            {
                'id': key, 'image_id': 7, 'category_id': 1, 'iscrowd': int(key == 14),
                'bbox': [*low.tolist(), *(high - low).tolist()],
                'keypoints': np.column_stack([pixels, visible]).ravel().tolist(),
                'num_keypoints': int((visible > 0).sum()),
            }
        )  # fmt: skip
        if key != 13:
            fits[str(key)] = {
                'smpl_param': {
                    'pose': seen.pose.ravel().tolist(), 'shape': seen.shape.tolist(),
                    'trans': seen.translation.tolist(),
                },
                'cam_param': {'focal': CAMERA[:2].tolist(), 'princpt': CAMERA[2:].tolist()},
            }  # fmt: skip
    image = {'id': 7, 'file_name': '000000000007.jpg', 'width': SIZE[0], 'height': SIZE[1]}
    coco = {'images': [image], 'annotations': annotations, 'categories': [{'id': 1, 'name': 'p'}]}
    (tmp_path / 'coco.json').write_text(json.dumps(coco))
    (tmp_path / 'fits.json').write_text(json.dumps(fits))
    return tmp_path


def test_keypoints_and_fits(files):
    found = convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')
    labels = read_mesh_file(files / 'out.npz')
    assert labels['id'].tolist() == [11, 12, 13]
    assert found.left_out == {'crowd regions': 1, 'without keypoints': 1}
    assert '2 fits belong to no person that was taken' in str(found)
    assert labels['has_pose'].tolist() == [True, True, False]
    for row, key in enumerate((11, 12)):
        assert_same_body(labels, row, person(key))
        np.testing.assert_allclose(labels['camera'][row], CAMERA)
    assert np.isnan(labels['camera'][2]).all()
    wrist = project(person(12).joints)[20]
    np.testing.assert_allclose(labels['keypoints'][1, 9], [*wrist, 1], atol=1e-3)
    assert labels['keypoints'][1, :, 2].tolist() == [1] * 13 + [0] * 4
    assert not labels['keypoints'][1, 13:].any()
    assert labels['image_path'].tolist() == ['000000000007.jpg'] * 3
    assert labels['image_size'].tolist() == [list(SIZE)] * 3


def test_a_person_behind_the_camera_has_no_translation(files):
    fits = json.loads((files / 'fits.json').read_text())
    fits['11']['smpl_param']['trans'][2] = -1
    (files / 'fits.json').write_text(json.dumps(fits))
    convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')
    labels = read_mesh_file(files / 'out.npz')
    assert labels['has_translation'].tolist() == [False, True, False]
    assert labels['has_pose'].tolist() == [True, True, False]


def test_cameras_before_the_boxes_of_persons_are_not_that_of_the_image(files):
    fits = json.loads((files / 'fits.json').read_text())
    fits['12']['cam_param']['princpt'][0] += 30
    (files / 'fits.json').write_text(json.dumps(fits))
    found = convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')
    assert 'no camera and no translation is taken' in str(found)
    labels = read_mesh_file(files / 'out.npz')
    assert np.isnan(labels['camera']).all()
    assert not labels['has_translation'].any()
    assert labels['has_pose'].tolist() == labels['has_shape'].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ('list_of', 'key', 'message'),
    [
        ('annotations', 'image_id', 'annotation [0-9]+: images has no 99'),
        ('images', 'file_name', "image 7 has no 'file_name'"),
    ],
)
def test_what_is_missing_is_named(files, list_of, key, message):
    content = json.loads((files / 'coco.json').read_text())
    for row in content[list_of]:
        row[key] = 99
        if key == 'file_name':
            del row[key]
    (files / 'coco.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')


def test_mistakes(files):
    fits = json.loads((files / 'fits.json').read_text())
    (files / 'other.json').write_text(json.dumps({f'9{key}': fit for key, fit in fits.items()}))
    with pytest.raises(ValueError, match='none of its 4 fits belongs to a person'):
        convert(files / 'coco.json', files / 'out.npz', files / 'other.json')
    fits['12']['smpl_param'].pop('trans')
    (files / 'fits.json').write_text(json.dumps(fits))
    with pytest.raises(ValueError, match=r"annotation 12: must hold smpl_param .*; 'trans'"):
        convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')
    (files / 'fits.json').write_text('[]')
    with pytest.raises(ValueError, match='must hold fits by the ids of annotations'):
        convert(files / 'coco.json', files / 'out.npz', files / 'fits.json')
