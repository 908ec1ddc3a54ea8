import numpy as np
import pytest

from hsjp_mm.models.body_models.arrays import body_arrays
from tests.models.body_models.bodies import TREE, made_up_body


def test_a_regressor_of_joints_is_applied_to_the_mean_and_the_shapes():
    content = made_up_body()
    body = body_arrays(content, 'made-up')
    shape = np.array([1, -2, 0.5, 3])
    shaped = content['v_template'] + content['shapedirs'] @ shape
    joints = body.joint_template + body.joint_directions @ shape
    np.testing.assert_allclose(joints, content['J_regressor'] @ shaped, atol=1e-5)
    assert body.parents == TREE
    # a file with both has its joints as it says, not from the vertices
    own = {'J_template': np.ones((7, 3)), 'J_shapedirs': np.zeros((7, 3, 4))}
    assert (body_arrays({**content, **own}, 'made-up').joint_template == 1).all()


def changed(**arrays):
    content = {**made_up_body(), **arrays}
    return {key: array for key, array in content.items() if array is not None}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, 'it lacks J_regressor, f, kintree_table, shapedirs, v_template, weights .it has noth'),
        (changed(J_regressor=None), 'it lacks J_regressor'),
        (changed(v_template=made_up_body()['v_template'] * 100), 'which no body is in meters'),
        (changed(v_template=np.zeros((30, 2))), r'v_template must be \(V, 3\)'),
        (changed(v_template=np.full((30, 3), np.nan)), 'v_template has values that are not finite'),
        (changed(v_template=np.full((30, 3), 'a')), 'v_template must be numbers'),
        (changed(shapedirs=np.zeros((29, 3, 4))), r'shapedirs must be \(30, 3, 4\)'),
        (changed(posedirs=np.zeros((30, 3, 207))), r'posedirs must be \(30, 3, 54\)'),
        (changed(weights=np.full((30, 7), 0.5)), 'weights of each vertex must sum to 1'),
        (changed(weights=np.zeros((30, 24))), r'weights must be \(30, 7\)'),
        (changed(J_regressor=np.zeros((24, 30))), r'J_regressor must be \(7, 30\)'),
        (changed(f=np.array([[0, 1, 30]])), 'f must be numbers of 30 vertices'),
        (changed(f=np.zeros((4, 3))), 'f must be numbers of 30 vertices, it is float64'),
        (changed(kintree_table=np.zeros((7,), int)), r'kintree_table must be \(2, J\)'),
        (
            changed(kintree_table=np.array([[0, 2, 0, 1, 1, 4, 2]] * 2)),
            'must hang on one before it',
        ),
        (changed(vertex_mirror=np.arange(29)), 'vertex_mirror must be numbers of 30 vertices'),
        (changed(regressor_coco_17=np.zeros((17, 30))), r'regressor_coco_17 must be \(17, 37\)'),
        (changed(regressor_mine=np.zeros((17, 37))), "joint_set='mine' must be one of smpl_24"),
    ],
)
def test_what_is_no_body_is_refused_by_its_key(content, message):
    with pytest.raises(ValueError, match=message):
        body_arrays(content, 'made-up')
