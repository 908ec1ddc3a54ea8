import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from hsjp_mm.models import BodyModel
from hsjp_mm.models.body_models.arrays import body_arrays
from hsjp_mm.models.body_models.smpl_files import read_body
from hsjp_mm.ops.keypoint_orders import joint_names, mapping, mirror_indices
from hsjp_mm.ops.rotations import axis_angle_to_matrix
from hsjp_mm.registry import MODELS
from tests.models.body_models.bodies import TREE, made_up_body


def made_up_model(num_shape: int = 4, **options) -> BodyModel:
    return BodyModel.of(body_arrays(made_up_body(**options), 'made-up'), num_shape)


def random_pose(number: int, joints: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations, shapes of 4 components, and translations."""
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(number, joints, 3, generator=generator, dtype=torch.float64)
    shape = torch.randn(number, 4, generator=generator, dtype=torch.float64)
    translation = torch.randn(number, 3, generator=generator, dtype=torch.float64)
    return axis_angle_to_matrix(angles), shape, translation


def slow_skinning(content: dict, rotations: np.ndarray, shape: np.ndarray, translation: np.ndarray):
    """One body by the steps of the paper, vertex by vertex with (4, 4) matrices."""
    content = {key: np.asarray(array, np.float64) for key, array in content.items()}
    template, parents = content['v_template'], content['kintree_table'][0].astype(int)
    shaped = template.copy()
    for component, size in enumerate(shape):
        shaped += size * content['shapedirs'][:, :, component]
    resting = [
        sum(w * v for w, v in zip(row, shaped, strict=True)) for row in content['J_regressor']
    ]
    feature = (rotations[1:] - np.eye(3)).ravel()
    world: list[np.ndarray] = []
    for joint, rotation in enumerate(rotations):
        local = np.eye(4)
        local[:3, :3] = rotation
        local[:3, 3] = resting[joint] - (resting[parents[joint]] if joint else 0)
        world.append(world[parents[joint]] @ local if joint else local)
    vertices = []
    for vertex in range(len(template)):
        straight = shaped[vertex].copy()
        if content['posedirs'].size:
            straight += content['posedirs'][vertex] @ feature
        place = np.zeros(3)
        for joint, weight in enumerate(content['weights'][vertex]):
            from_joint = np.append(straight - resting[joint], 1)
            place += weight * (world[joint] @ from_joint)[:3]
        vertices.append(place + translation)
    return np.array(vertices), np.array([w[:3, 3] for w in world]) + translation


@pytest.mark.parametrize('correctives', [True, False])
@pytest.mark.parametrize('parents', [TREE, (-1, 0, 1, 2), (-1, 0, 0, 0), (-1,)])
def test_equals_the_papers_steps_in_a_loop(correctives, parents):
    content = made_up_body(parents=parents, correctives=correctives)
    model = BodyModel.of(body_arrays(content, 'made-up'), 4)
    rotations, shape, translation = random_pose(3, len(parents))
    expected = [
        slow_skinning(content, *values)
        for values in zip(rotations.numpy(), shape.numpy(), translation.numpy(), strict=True)
    ]
    for dtype, error in ((torch.float64, 1e-6), (torch.float32, 3e-6)):
        # single precision is what the arrays are kept in, so that 1e-6 is left of it
        found = model.to(dtype)(rotations, shape, translation)
        for body in range(3):
            np.testing.assert_allclose(found.vertices[body], expected[body][0], atol=error)
            np.testing.assert_allclose(found.joints[body], expected[body][1], atol=error)


def test_by_hand():
    """Two joints, at the origin and at (0, 1, 0); the second bends by a quarter about z."""
    content = {
        'v_template': np.array([[0, 0.5, 0], [0, 2, 0], [0, 1.5, 0]]),
        'shapedirs': np.array([[[0.0], [0], [0]], [[0], [1], [0]], [[0], [0], [0]]]),
        'weights': np.array([[1, 0], [0, 1], [0.5, 0.5]]),
        'kintree_table': np.array([[2**32 - 1, 0], [0, 1]]),
        'f': np.array([[0, 1, 2]]),
        'J_template': np.array([[0, 0, 0], [0, 1, 0]]),
        'J_shapedirs': np.zeros((2, 3, 1)),
    }
    model = BodyModel.of(body_arrays(content, 'a finger'), 1)
    quarter = axis_angle_to_matrix(torch.tensor([[[0, 0, 0], [0, 0, torch.pi / 2]]]))
    found = model(quarter, torch.tensor([[3.0]]))
    expected = [[0, 0.5, 0], [-4, 1, 0], [-0.25, 1.25, 0]]
    np.testing.assert_allclose(found.vertices[0], expected, atol=1e-6)
    assert found.joints[0].tolist() == [[0, 0, 0], [0, 1, 0]]
    assert model.parts.tolist() == [0, 1, 0]


def test_the_first_rotation_is_about_the_pelvis():
    """Turning the frame by Q moves the body as Q does, with t' = Q (p + t) − p (p the pelvis)."""
    model = made_up_model().double()
    rotations, shape, translation = random_pose(5, len(TREE))
    turn = axis_angle_to_matrix(torch.tensor([0.3, -2, 1], dtype=torch.float64))
    before = model(rotations, shape, translation)
    turned = rotations.clone()
    turned[:, 0] = turn @ rotations[:, 0]
    pelvis = model(rotations, shape).joints[:, 0]
    after = model(turned, shape, (pelvis + translation) @ turn.T - pelvis)
    torch.testing.assert_close(after.vertices, before.vertices @ turn.T)
    torch.testing.assert_close(after.joints, before.joints @ turn.T)
    still = model(turned, shape).joints[:, 0]
    torch.testing.assert_close(still, pelvis)


def test_rest_pose_is_the_shaped_template():
    content = made_up_body()
    model = made_up_model().double()
    identity = torch.eye(3, dtype=torch.float64).expand(1, len(TREE), 3, 3)
    np.testing.assert_allclose(model(identity).vertices[0], content['v_template'], atol=1e-7)
    shape = torch.tensor([[1.0, -2, 0, 0.5]], dtype=torch.float64)
    body = model(identity, shape)
    shaped = content['v_template'] + content['shapedirs'] @ shape[0].numpy()
    np.testing.assert_allclose(body.vertices[0], shaped, atol=1e-7)
    np.testing.assert_allclose(body.joints[0], content['J_regressor'] @ shaped, atol=1e-6)
    fewer = made_up_model(num_shape=2).double()(identity, shape[:, :2])
    without = content['v_template'] + content['shapedirs'][..., :2] @ shape[0, :2].numpy()
    np.testing.assert_allclose(fewer.vertices[0], without, atol=1e-7)


def test_gradients():
    model = made_up_model(vertices=5).double()
    rotations, shape, translation = random_pose(2, len(TREE))
    inputs = [values.requires_grad_() for values in (rotations, shape, translation)]
    assert torch.autograd.gradcheck(lambda *values: tuple(model(*values)), inputs)


def test_half_precision_of_autocast_is_not_used():
    model = made_up_model()
    rotations, shape, translation = (values.float() for values in random_pose(2, len(TREE)))
    expected = model(rotations, shape, translation)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = model(rotations, shape, translation)
    assert found.vertices.dtype == torch.float32
    assert found.vertices.equal(expected.vertices)


def test_a_checkpoint_holds_nothing_of_the_body():
    class Estimator(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = made_up_model(), nn.Linear(2, 2)

    assert set(Estimator().state_dict()) == {'head.weight', 'head.bias'}
    assert list(made_up_model().parameters()) == []
    assert len(list(made_up_model().to('meta').buffers())) == 7


def test_keypoints_are_sums_of_joints_and_vertices():
    content = made_up_body()
    matrix = np.random.default_rng(1).normal(size=(17, len(TREE) + 30)).astype(np.float32)
    content['regressor_h36m_17_left_first'] = matrix
    model = BodyModel.of(body_arrays(content, 'made-up'), 4).double()
    body = model(*random_pose(2, len(TREE)))
    points = torch.cat([body.joints, body.vertices], dim=1)
    expected = torch.from_numpy(matrix).double() @ points
    found = model.keypoints(body, 'h36m_17_left_first')
    torch.testing.assert_close(found, expected)
    order = mapping(joint_names('h36m_17_left_first'), joint_names('h36m_17'))
    torch.testing.assert_close(model.keypoints(body, 'h36m_17'), expected[:, order])
    for unknown in ('coco_17', 'smpl_24'):  # the second is of bodies of 24 joints
        with pytest.raises(ValueError, match='made-up has regressors of h36m_17_left_first'):
            model.keypoints(body, unknown)


def test_sets_of_several_regressors_are_put_together_by_names():
    free = BodyModel()
    body = free(random_pose(2, 24)[0].float())
    of = {
        joint_set: dict(
            zip(joint_names(joint_set), free.keypoints(body, joint_set).unbind(1), strict=True)
        )
        for joint_set in ('h36m_17', 'coco_17', 'smpl_24')
    }
    found = dict(
        zip(joint_names('mesh_22'), free.keypoints(body, 'mesh_22').unbind(1), strict=True)
    )
    for name, points in found.items():
        source = 'coco_17' if name.endswith(('nose', 'eye', 'ear')) else 'h36m_17'
        assert torch.equal(points, of[source][name]), name
    # a regressor that has all of the names is taken alone, whatever others have them too
    both = free.keypoints(body, 'common_14')
    assert torch.equal(both[:, 2], of['h36m_17']['right_hip'])
    # what no regressor has comes from the joints of the rotations
    assert torch.equal(free.keypoints(body, 'mupots_17')[:, -1], of['smpl_24']['head'])
    with pytest.raises(ValueError, match="joint_set='extra_9' has thorax, but the free body has"):
        free.keypoints(body, 'extra_9')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(rotations=torch.zeros(2, 6, 3, 3)), r'rotations must be \(2, 7, 3, 3\)'),
        (dict(rotations=torch.zeros(2, 7, 3)), r'rotations must be \(2, 7, 3, 3\)'),
        (dict(shape=torch.zeros(2, 10)), r'shape must be \(2, 4\)'),
        (dict(shape=torch.zeros(1, 4)), r'shape must be \(2, 4\)'),
        (dict(translation=torch.zeros(3)), r'translation must be \(2, 3\)'),
    ],
)
def test_shapes_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        made_up_model()(**{'rotations': torch.zeros(2, 7, 3, 3), **change})


def test_more_shape_components_than_the_file_has():
    with pytest.raises(ValueError, match='num_shape=5 must be from 0 to the 4 of made-up'):
        made_up_model(num_shape=5)


@pytest.fixture(scope='module')
def free() -> BodyModel:
    return MODELS.build(dict(type='hsjp_mm.BodyModel'))


def pose_of(**joints: list[float]) -> Tensor:
    """Rotations of one body with SMPL's joints, from the axis-angle of some."""
    angles = torch.zeros(1, 24, 3)
    for name, angle in joints.items():
        angles[0, joint_names('smpl_24').index(name)] = torch.tensor(angle)
    return axis_angle_to_matrix(angles)


def test_the_free_body_stands_in_smpls_frame(free):
    body = free(pose_of())
    places = dict(zip(joint_names('smpl_24'), body.joints[0].tolist(), strict=True))
    assert places['pelvis'] == [0, 0, 0]
    assert places['left_wrist'][0] > 0.5 and places['right_wrist'][0] < -0.5
    assert places['head'][1] > 0.5 and places['left_ankle'][1] < -0.7
    assert places['left_foot'][2] > places['left_ankle'][2] + 0.1  # it looks along z
    for joint in ('elbow', 'wrist', 'hand'):  # a T: the arms level, the legs straight down
        assert places[f'left_{joint}'][1] == pytest.approx(places['left_shoulder'][1], abs=1e-3)
    assert places['left_ankle'][0] == pytest.approx(places['left_hip'][0], abs=1e-3)


def test_the_free_body_is_of_the_heights_of_adults(free):
    shape = torch.randn(2000, 10, generator=torch.Generator().manual_seed(0))
    heights = free(torch.eye(3).expand(2000, 24, 3, 3), shape).vertices[..., 1]
    heights = heights.amax(dim=1) - heights.amin(dim=1)
    assert 1.6 < heights.median() < 1.75
    assert ((heights > 1.45) & (heights < 2.05)).double().mean() > 0.97


def test_the_free_bodys_sides_are_alike(free):
    """The mirror image of a pose makes the mirror image of the mesh and of all joint sets."""
    arrays = read_body('free')
    generator = torch.Generator().manual_seed(0)
    angles = torch.randn(4, 24, 3, generator=generator) * 0.5
    shape = torch.randn(4, 10, generator=generator)
    sides = mirror_indices(joint_names('smpl_24'))
    mirrored = angles[:, sides] * torch.tensor([1.0, -1, -1])
    flip = torch.tensor([-1.0, 1, 1])
    here, there = (free(axis_angle_to_matrix(pose), shape) for pose in (angles, mirrored))
    assert len(set(arrays.mirror)) == free.num_vertices
    mirror = torch.from_numpy(arrays.mirror)
    close = dict(rtol=0, atol=1e-5)
    torch.testing.assert_close(there.vertices, here.vertices[:, mirror] * flip, **close)
    assert [sides[part] for part in free.parts[mirror].tolist()] == free.parts.tolist()
    for joint_set in ('smpl_24', *free.joint_sets):
        order = mirror_indices(joint_names(joint_set))
        found, expected = (free.keypoints(body, joint_set) for body in (there, here))
        torch.testing.assert_close(found, expected[:, order] * flip, **close)


def test_the_free_bodys_mesh_is_closed_and_faces_outwards(free):
    edges: dict[tuple[int, int], int] = {}
    for a, b, c in free.faces.tolist():
        for edge in ((a, b), (b, c), (c, a)):
            edges[edge] = edges.get(edge, 0) + 1
    assert set(edges.values()) == {1} and all((b, a) in edges for a, b in edges)
    triangles = free(pose_of()).vertices[0][free.faces]
    volume = torch.linalg.det(triangles).sum().item() / 6
    assert 0.05 < volume < 0.08  # cubic meters of an adult
    assert free.parts.unique().tolist() == list(range(24))


@pytest.mark.parametrize('bend', [0.0, 1.0, 2.2])
def test_the_free_bodys_keypoints_stay_in_bent_limbs(free, bend):
    """COCO's are within 4 cm of the joints of the rotations, and as near when limbs are bent."""
    body = free(pose_of(left_knee=[bend, 0, 0], left_elbow=[0, -bend, 0], left_hip=[-bend, 0, 0]))
    coco, h36m = joint_names('coco_17'), joint_names('h36m_17')
    for name in ('knee', 'elbow', 'wrist', 'ankle', 'hip', 'shoulder'):
        joint = body.joints[0, joint_names('smpl_24').index(f'left_{name}')]
        of_coco = free.keypoints(body, 'coco_17')[0, coco.index(f'left_{name}')]
        assert (of_coco - joint).norm() < 0.045, name
        of_h36m = free.keypoints(body, 'h36m_17')[0, h36m.index(f'left_{name}')]
        torch.testing.assert_close(of_h36m, joint)


def test_the_free_bodys_faces_and_heads_are_where_they_should_be(free):
    body = free(pose_of())
    coco = dict(
        zip(joint_names('coco_17'), free.keypoints(body, 'coco_17')[0].tolist(), strict=True)
    )
    assert coco['nose'][2] > coco['left_eye'][2] > coco['left_ear'][2]
    assert coco['left_ear'][0] > coco['left_eye'][0] > 0 == pytest.approx(coco['nose'][0], abs=1e-6)
    h36m = dict(
        zip(joint_names('h36m_17'), free.keypoints(body, 'h36m_17')[0].tolist(), strict=True)
    )
    assert h36m['head_top'][1] == pytest.approx(body.vertices[0, :, 1].max().item(), abs=1e-6)
    heights = [h36m[name][1] for name in ('pelvis', 'spine', 'neck', 'jaw', 'head_top')]
    assert heights == sorted(heights)


def test_rotations_of_smpl_drive_the_free_body_as_scipy_says(free):
    """A bent knee swings the ankle about it: the shank in the frame of the turned pelvis."""
    angles = {'pelvis': [0.2, 0.5, -0.1], 'left_hip': [-0.8, 0, 0.2], 'left_knee': [1.2, 0, 0]}
    names = joint_names('smpl_24')
    hip, knee, ankle = (names.index(f'left_{part}') for part in ('hip', 'knee', 'ankle'))
    rest = free(pose_of()).joints[0].numpy()
    turns = [Rotation.from_rotvec(angle) for angle in angles.values()]
    at_hip = turns[0].apply(rest[hip])
    at_knee = at_hip + (turns[0] * turns[1]).apply(rest[knee] - rest[hip])
    at_ankle = at_knee + (turns[0] * turns[1] * turns[2]).apply(rest[ankle] - rest[knee])
    found = free(pose_of(**angles)).joints[0]
    np.testing.assert_allclose(found[ankle], at_ankle, atol=1e-6)


def test_results_can_name_the_regressors():
    free = BodyModel()
    assert free.sources('h36m_17') == ('h36m_17',)
    assert free.sources('common_14') == ('h36m_17',)
    assert free.sources('mesh_22') == ('h36m_17', 'coco_17')
    assert free.sources('smpl_24') == ('smpl_24',)
