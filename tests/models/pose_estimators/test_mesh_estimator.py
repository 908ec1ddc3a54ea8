from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmpose.apis import inference_topdown

from hsjp_mm.datasets import MeshAffine, PackMeshInputs, RandomMeshAffine
from hsjp_mm.models import BodyModel, MeshEstimator, MeshHead, MeshLoss
from hsjp_mm.models.pose_estimators.mesh_estimator import (
    collect_targets,
    collect_views,
    mean_distance,
)
from hsjp_mm.ops.cameras import project, translation_to_weak
from hsjp_mm.ops.keypoint_orders import joint_names
from hsjp_mm.ops.part_labels import IGNORED
from hsjp_mm.ops.rotations import mirror_rotations
from tests.mesh_bodies import CAMERA, NAMES, WIDTH, make_sample, write_bodies

SIZE = (96, 128)
LONGER = max(SIZE)
RESNET = dict(
    type='ResNet', depth=18, stem_channels=8, base_channels=8, strides=(1, 2, 2, 2),
    out_indices=(3,),
)  # fmt: skip
HEADS = {
    'hmr': dict(type='hsjp_mm.HMRHead', in_channels=64, hidden_channels=16),
    'pare': dict(
        type='hsjp_mm.PAREHead', in_channels=64, thin_channels=4, deconv_out_channels=(8, 8, 8)
    ),
    'hmr2': dict(
        type='hsjp_mm.HMR2Head', in_channels=64, dim=16, num_layers=1, num_heads=2,
        feedforward_channels=16,
    ),
    'pymaf': dict(
        type='hsjp_mm.PyMAFHead', in_channels=64, num_points=9, hidden_channels=16,
        deconv_out_channels=(8, 8, 8),
    ),
    'pose2pose': dict(type='hsjp_mm.Pose2PoseHead', in_channels=64, thin_channels=8),
}  # fmt: skip


@pytest.fixture(scope='module')
def free() -> BodyModel:
    return BodyModel().double()


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


def build(head: str = 'hmr', **options) -> MeshEstimator:
    torch.manual_seed(0)
    box_info = options.pop('box_info', False)
    preprocessor = dict(
        type='PoseDataPreprocessor', mean=[120.0] * 3, std=[58.0] * 3, bgr_to_rgb=True
    )
    return MODELS.build(
        dict(
            type='hsjp_mm.MeshEstimator',
            backbone=RESNET,
            head=dict(HEADS[head], box_info=box_info),
            data_preprocessor=preprocessor,
            **options,
        )
    )


def batch(free: BodyModel, number: int = 3, augmented: bool = False, **changes) -> dict:
    """Crops of noise, with the labels of bodies."""
    crop = RandomMeshAffine(SIZE) if augmented else MeshAffine(SIZE)
    rng = np.random.default_rng(0)
    packed = []
    for seed in range(number):
        sample = {**make_sample(free, seed), **changes}
        sample['img'] = rng.integers(0, 255, sample['img'].shape, dtype=np.uint8)
        packed.append(PackMeshInputs()(crop(sample)))
    return pseudo_collate(packed)


@MODELS.register_module()
class Knowing(MeshHead):
    """Says what it has been told."""

    def forward(self, feats, box_info=None, project=None):
        return self.told


def truth_of(data: dict):
    """What a perfect head says of a batch."""
    samples = data['data_samples']
    views = collect_views(samples, torch.device('cpu'))
    found = {
        name: torch.cat([sample.gt_instances.get(name) for sample in samples])
        for name in ('rotations', 'shape', 'translation')
    }
    weak = translation_to_weak(found['translation'], *views)
    six = MeshHead().prediction(torch.zeros(len(samples), 144), found['shape'], weak)
    return six._replace(rotations=found['rotations'])


def test_perfect_predictions_are_the_labels(free):
    data = batch(free, 2)
    model = build(full_image=True).eval()
    model.head = Knowing()
    model.head.told = truth_of(data)
    results = model.test_step(data)
    assert len(results) == 2
    for sample in results:
        found, truth = sample.pred_instances, sample.gt_instances
        assert len(found) == 1
        shapes = {key: tuple(value.shape) for key, value in found.all_items()}
        assert shapes == dict(
            rotations=(1, 24, 3, 3), shape=(1, 10), weak=(1, 3), translation=(1, 3),
            vertices=(1, 1229, 3), joints24=(1, 24, 3), joints=(1, 22, 3), keypoints=(1, 22, 2),
            keypoint_scores=(1, 22), keypoints_visible=(1, 22), bboxes=(1, 4), bbox_scores=(1,),
        )  # fmt: skip
        torch.testing.assert_close(found.translation, truth.translation, atol=1e-4, rtol=0)
        absolute = found.joints + found.translation[:, None]
        torch.testing.assert_close(absolute, truth.joints, atol=1e-4, rtol=0)
        # in pixels of the image, where the labels are in those of the input
        x, y, side = sample.metainfo['crop']
        expected = (truth.keypoints.numpy() - np.array(SIZE) / 2) * side / LONGER + [x, y]
        np.testing.assert_allclose(found.keypoints, expected, atol=1e-2)
        in_image = project(absolute, float(CAMERA[0]), torch.from_numpy(CAMERA[2:]))
        np.testing.assert_allclose(found.keypoints, in_image, atol=1e-2)
        assert (found.keypoint_scores == 1).all()
        assert sample.metainfo['pred_body'] == 'the free body, joints by h36m_17, coco_17'


def test_the_far_camera_is_that_of_hmr(free):
    """t = (x, y, 2 f / (w s)) with f = 5000 and w = 224, principal point in the crop's center."""
    data = batch(free, 2)
    model = build().eval()
    joints = torch.randn(2, 22, 3)
    weak = torch.tensor([[0.9, 0.1, -0.2], [0.5, 0, 0]])
    views = collect_views(data['data_samples'], torch.device('cpu'))
    translation = torch.cat([weak[:, 1:], 2 * 5000 / (224 * weak[:, :1])], dim=1)
    expected = project(joints + translation[:, None], 5000, torch.zeros(2)) / 112
    torch.testing.assert_close(model.on_crop(joints, weak, views), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('full_image', [False, True])
def test_flip_test_of_a_perfect_network_changes_nothing(free, full_image):
    """What it says of the flipped input: the mirrored body, seen one pixel beside the mirror."""
    data = batch(free, 2)
    model = build(full_image=full_image).eval()
    samples = data['data_samples']
    views = collect_views(samples, torch.device('cpu'))
    one = truth_of(data)
    shown = model.on_crop(model.body.keypoints(model.body(*one[:2]), 'mesh_22'), one.weak, views)
    other_views = views.mirrored(LONGER)
    pixel = 2 / (LONGER * one.weak[:, 0])
    weak = torch.stack([one.weak[:, 0], -one.weak[:, 1] - pixel, one.weak[:, 2]], dim=1)
    flipped = one._replace(rotations=mirror_rotations(one.rotations, model.mirror), weak=weak)
    # this is what the flipped input shows: column j is at W − 1 − j
    body = model.body(*flipped[:2])
    there = model.on_crop(model.body.keypoints(body, 'mesh_22'), weak, other_views)
    columns, mirrored = ((places[..., 0] * LONGER + SIZE[0]) / 2 for places in (shown, there))
    swapped = samples[0].metainfo['flip_indices']
    # the far camera's axis is in the middle of the crop, a pixel beside that of the mirrored one
    pixels = 2e-3 if full_image else 0.04
    torch.testing.assert_close(mirrored[:, swapped], SIZE[0] - 1 - columns, atol=pixels, rtol=0)
    averaged = model.average(one, flipped, LONGER)
    for name in ('rotations', 'shape', 'weak'):
        found, expected = getattr(averaged, name), getattr(one, name)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('head', list(HEADS))
def test_flip_test_is_the_same_for_the_flipped_picture(free, head):
    """Image and mirror image give mirrored bodies, for any network."""
    model = build(head, test_cfg=dict(flip_test=True), box_info=True).eval()
    inputs = torch.rand(1, 3, SIZE[1], SIZE[0])
    sample = batch(free, 1)['data_samples'][0]
    x, y, side = (float(value) for value in sample.metainfo['crop'])
    pp = float(sample.metainfo['camera'][2])
    mirrored = sample.clone()
    # column j of the flipped input is x of the image at −x, up to where the image begins
    crop = np.array([side / LONGER - x, y, side], np.float32)
    camera = np.array([*CAMERA[:2], -pp, CAMERA[3]], np.float32)
    mirrored.set_metainfo(dict(crop=crop, camera=camera))
    one = model.predict(inputs, [sample])[0].pred_instances
    other = model.predict(inputs.flip(-1), [mirrored])[0].pred_instances
    torch.testing.assert_close(
        mirror_rotations(other.rotations, model.mirror), one.rotations, atol=1e-4, rtol=0
    )
    expected = one.translation * torch.tensor([-1.0, 1, 1])
    torch.testing.assert_close(other.translation, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(other.shape, one.shape, atol=1e-5, rtol=0)
    assert x < WIDTH


@pytest.mark.parametrize('head', ['hmr', 'pare', 'hmr2'])
@pytest.mark.parametrize('full_image', [False, True])
def test_losses_are_those_of_the_labels(free, head, full_image):
    data = batch(free, augmented=True)
    model = build(head, full_image=full_image, box_info=full_image).train()
    model.head.eval()  # without dropout
    packed = model.data_preprocessor(data, True)
    inputs, samples = packed['inputs'], packed['data_samples']
    losses = model.loss(inputs, samples)
    views = collect_views(samples, inputs.device)
    prediction = model.head(model.extract_feat(inputs), views.box_info())
    body = model.body(prediction.rotations, prediction.shape)
    joints = model.body.keypoints(body, 'mesh_22')
    targets = collect_targets(samples, inputs)
    points = model.on_crop(joints, prediction.weak, views)
    hips = [NAMES.index('left_hip'), NAMES.index('right_hip')]
    expected = MeshLoss()(prediction, points, joints, targets, hips)
    assert set(losses) == {*expected, 'mpjpe', 'scale'}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-3, atol=1e-5)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    missing = [name for name, value in model.named_parameters() if value.grad is None]
    assert missing == []


def test_each_guess_is_supervised(free):
    model = build('pymaf', full_image=True).train()
    model.head.eval()
    packed = model.data_preprocessor(batch(free, augmented=True), True)
    inputs, samples = packed['inputs'], packed['data_samples']
    losses = model.loss(inputs, samples)
    prediction = model.regress(inputs, collect_views(samples, inputs.device))
    targets = collect_targets(samples, inputs)
    for name, slot in (('pose', 'rotations'), ('shape', 'shape')):
        weight = model.loss_module.factor * model.loss_module.weights[name]
        total = sum(
            weight * (getattr(guess, slot) - getattr(targets, slot)).square().mean()
            for guess in (*prediction.earlier, prediction)
        )
        torch.testing.assert_close(losses[f'loss_{name}'], total, rtol=1e-4, atol=1e-6)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_labelled_bodies_are_found_by_their_keypoints(free):
    """From pose, shape and 2D labels alone, after any augmentation."""
    data = batch(free, augmented=True)
    model = build('pose2pose', loss=dict(type='hsjp_mm.Pose2PoseLoss'))
    packed = model.data_preprocessor(data, True)
    samples = packed['data_samples']
    targets = collect_targets(samples, packed['inputs'])
    views = collect_views(samples, packed['inputs'].device)
    body = model.with_body(targets, views).body
    assert body.has_place.tolist() == [1, 1, 1]
    torch.testing.assert_close(body.places[:, :22], targets.keypoints, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        body.joints - body.joints[:, :1], targets.joints - targets.joints[:, :1], atol=1e-3, rtol=0
    )
    assert body.places.shape == (3, 22 + 24 + model.body.num_vertices, 2)


def test_pose2pose_trains_all_of_it(free):
    model = build('pose2pose', loss=dict(type='hsjp_mm.Pose2PoseLoss')).train()
    packed = model.data_preprocessor(batch(free, augmented=True), True)
    losses = model.loss(packed['inputs'], packed['data_samples'])
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.slow
def test_nothing_is_made_on_another_device_than_the_network(head, free, monkeypatch):
    """The device 'meta' has no numbers, and refuses those of the CPU as a GPU would."""
    monkeypatch.setattr(torch, 'autocast', lambda *_, **__: nullcontext())  # it has none
    loss = dict(type='hsjp_mm.Pose2PoseLoss') if head == 'pose2pose' else None
    model = build(head, loss=loss, full_image=True, box_info=head != 'pymaf').to('meta')
    inputs = torch.zeros(3, 3, SIZE[1], SIZE[0], device='meta')
    samples = batch(free, augmented=True)['data_samples']
    losses = model.loss(inputs, samples)
    assert {value.device.type for value in losses.values()} == {'meta'}
    views = collect_views(samples, inputs.device)
    one = model.regress(inputs, views)
    other = model.regress(inputs.flip(-1), views.mirrored(LONGER))
    assert model.average(one, other, LONGER).rotations.device.type == 'meta'


def test_labels_of_a_perfect_network_cost_nothing_but_the_prior(free):
    """The losses look at the same things in the same frame as the labels."""
    data = batch(free, augmented=False)
    model = build(full_image=True).train()
    model.head = Knowing()
    model.head.told = truth_of(data)
    packed = model.data_preprocessor(data, True)
    losses = model.loss(packed['inputs'], packed['data_samples'])
    assert float(losses['loss_keypoints']) < 1e-6
    assert float(losses['loss_joints']) < 1e-6
    assert float(losses['loss_pose']) < 1e-8
    assert float(losses['loss_shape']) < 1e-8
    assert float(losses['mpjpe']) < 0.01


def test_mean_distance_is_in_meters_of_the_known():
    data = batch(BodyModel().double(), 2)
    targets = collect_targets(data['data_samples'], torch.stack(data['inputs']).float())
    hips = [3, 2]
    moved = targets.joints.clone()
    moved[:, 7] += torch.tensor([0.0, 0.3, 0.4])
    targets.joint_weights[:] = 1
    assert float(mean_distance(moved, targets, hips)) == pytest.approx(0.5 / 22, rel=1e-5)
    targets.joint_weights[:, 10:] = 0
    assert float(mean_distance(moved, targets, hips)) == pytest.approx(0.5 / 10, rel=1e-5)
    targets.joint_weights[:] = 0
    assert float(mean_distance(moved, targets, hips)) == 0


def test_samples_without_parts_stand_beside_those_with(free, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / 'parts.png'), np.full((210, WIDTH), 3, np.uint8))
    with_parts = batch(free, 1, part_map_path=str(tmp_path / 'parts.png'))['data_samples']
    without = batch(free, 1)['data_samples']
    inputs = torch.zeros(2, 3, SIZE[1], SIZE[0])
    found = collect_targets([*without, *with_parts], inputs).part_map
    assert found is not None
    assert found.shape == (2, 32, 24)
    assert (found[0] == IGNORED).all()
    assert (found[1] == 3).any()
    assert collect_targets([*without, *without], inputs).part_map is None
    model = build('pare').train()
    losses = model.loss(inputs, [*without, *with_parts])
    assert losses['loss_parts'] > 0
    assert model.loss(inputs, [*without, *without])['loss_parts'] == 0


def test_part_attention_is_given_when_asked_for(free):
    data = batch(free, 2)
    model = build('pare', test_cfg=dict(output_parts=True)).eval()
    for sample in model.test_step(data):
        attention = sample.pred_fields.part_attention
        assert attention.shape == (24, 32, 24)
        torch.testing.assert_close(attention.sum(dim=(1, 2)), torch.ones(24))
    assert 'pred_fields' not in build('pare').eval().test_step(batch(free, 1))[0]
    assert model.part_names == joint_names('smpl_24') and build('hmr').part_names == ()
    with pytest.raises(ValueError, match='output_parts=True: HMRHead tells no parts'):
        build('hmr', test_cfg=dict(output_parts=True)).eval().test_step(data)


@pytest.mark.parametrize('head', list(HEADS))
def test_tensor_mode_takes_pictures_alone(head):
    model = build(head, box_info=True).eval()
    rotations, shape, weak = model(torch.rand(2, 3, SIZE[1], SIZE[0]), None, mode='tensor')
    assert (rotations.shape, shape.shape, weak.shape) == ((2, 24, 3, 3), (2, 10), (2, 3))


def test_half_precision_ends_at_the_head(free):
    model = build('pare', box_info=True, full_image=True).train()
    packed = model.data_preprocessor(batch(free), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(packed['inputs'], packed['data_samples'])
    assert all(value.dtype == torch.float32 for value in losses.values())
    whole = model.loss(packed['inputs'], packed['data_samples'])
    for name in ('loss_keypoints', 'loss_joints', 'loss_pose'):
        assert float(losses[name]) == pytest.approx(float(whole[name]), rel=0.1)


def test_the_body_says_how_many_numbers_the_head_gives():
    model = build('hmr', body=dict(type='hsjp_mm.BodyModel', num_shape=4))
    assert model.head.num_shape == 4
    assert model(torch.rand(1, 3, 64, 64), None)[1].shape == (1, 4)
    assert not [key for key in model.state_dict() if key.startswith('body')]


def test_joint_sets_are_checked():
    with pytest.raises(ValueError, match="joint_set='mesh' must be one of"):
        build(joint_set='mesh')
    with pytest.raises(ValueError, match="joint_set='extra_9' has thorax"):
        build(joint_set='extra_9')


@pytest.mark.parametrize('head', ['hmr', 'pose2pose'])
def test_a_trained_network_is_tested_in_the_points_of_other_data(free, head):
    data = batch(free, 2)
    trained = build(head).eval()
    model = build(head, test_cfg=dict(joint_set='common_14')).eval()
    model.load_state_dict(trained.state_dict())
    names = joint_names('common_14')
    rows = [NAMES.index(name) for name in names]
    with torch.no_grad():
        expected, found = (m.test_step(data)[0].pred_instances for m in (trained, model))
        torch.testing.assert_close(found.vertices, expected.vertices)
        if model.body.sources('common_14') == model.body.sources('mesh_22')[:1]:
            torch.testing.assert_close(found.joints, expected.joints[:, rows])
        assert found.joints.shape == (1, len(names), 3)
        assert found.keypoints.shape == (1, len(names), 2)
        assert model.test_step(data)[0].joint_set == 'common_14'
    with pytest.raises(ValueError, match=r"test_cfg\.joint_set='face_5' must have both hips"):
        build(head, test_cfg=dict(joint_set='face_5'))


def test_weights_of_other_shapes_are_refused():
    state = build('pose2pose').state_dict()
    with pytest.raises(ValueError, match=r"head\.volume\.weight .*joint_set='common_14', body"):
        build('pose2pose', joint_set='common_14').load_state_dict(state, strict=False)
    del state['head.volume.weight']
    assert build('pose2pose').load_state_dict(state, strict=False).missing_keys == [
        'head.volume.weight'
    ]


def test_results_say_whether_the_flipped_input_was_averaged():
    assert 'flipped' not in build().named
    assert (
        build(test_cfg=dict(flip_test=True)).named == f'{build().named}, averaged with the '
        'flipped input'
    )


def test_stock_inference_takes_a_picture_and_boxes():
    """``mmpose.apis.inference_topdown``; a known camera goes in through ``dataset_meta``."""
    from mmengine.config import Config

    model = build('hmr', box_info=True, full_image=True, test_cfg=dict(flip_test=True)).eval()
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='hsjp_mm.MeshAffine', input_size=SIZE),
        dict(type='hsjp_mm.PackMeshInputs'),
    ]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.dataset_meta = {}
    image = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    boxes = np.array([[10, 5, 40, 70], [60, 10, 100, 75]], np.float32)
    guessed = inference_topdown(model, image, boxes)
    assert len(guessed) == 2
    for sample, box in zip(guessed, boxes, strict=True):
        found = sample.pred_instances
        np.testing.assert_allclose(found.bboxes, box[None])
        # upright, head above the feet, inside the box more or less
        middle = found.keypoints[0].mean(axis=0)
        assert (middle > box[:2] - 5).all()
        assert (middle < box[2:] + 5).all()
        assert found.keypoints[0, NAMES.index('head_top'), 1] < middle[1]
        assert found.translation[0, 2] > 0
    model.dataset_meta = dict(camera=np.array([500, 500, 60, 40], np.float32))
    known = inference_topdown(model, image, boxes)
    assert known[0].metainfo['camera'].tolist() == [500, 500, 60, 40]
    far, near = (one[0].pred_instances.translation[0, 2] for one in (known, guessed))
    assert far > near


def test_data_sets_are_told_the_body_and_its_numbers(free, tmp_path):
    write_bodies(tmp_path, 'train', 2)
    pipeline = [dict(type='hsjp_mm.RenderPartMap')]

    def dataset(**options):
        one = dict(
            type='hsjp_mm.MeshDataset', data_root=str(tmp_path), ann_file='mesh/train.npz',
            data_prefix=dict(img='images/train'), pipeline=pipeline, **options,
        )  # fmt: skip
        return DATASETS.build(dict(type='ConcatDataset', datasets=[one, one]))

    data = dataset()
    body = dict(type='hsjp_mm.BodyModel', file='free', num_shape=4)
    build(body=body).prepare(data)
    for one in data.datasets:
        sample = one.get_data_info(0)
        assert sample['shape'].shape == (4,)
        assert sample['has_shape'] == 1
        assert one.pipeline.transforms[0].body_cfg == body
    # a body of the user's has other shapes than those that are labelled
    other = build()
    other.body_cfg = dict(type='hsjp_mm.BodyModel', file='data/smpl')
    other.prepare(data)
    for one in data.datasets:
        sample = one.get_data_info(0)
        assert (sample['has_shape'], sample['has_pose']) == (0, 1)
        assert not sample['shape'].any()
    with pytest.raises(ValueError, match="joint_set='coco_17' of the data is not joint_set='mesh_"):
        build().prepare(dataset(joint_set='coco_17'))
