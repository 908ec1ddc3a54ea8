import math

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from hsjp_mm.evaluation import MeshError
from hsjp_mm.models import BodyModel, I2LMeshNet
from hsjp_mm.models.losses.lixel_loss import LixelPrediction
from hsjp_mm.models.pose_estimators.i2l_meshnet import gaussian_volume
from hsjp_mm.models.pose_estimators.mesh_estimator import collect_targets, collect_views
from hsjp_mm.ops.cameras import project
from hsjp_mm.ops.keypoint_orders import joint_names
from tests.mesh_bodies import CAMERA
from tests.models.body_models.bodies import made_up_body
from tests.models.pose_estimators.test_mesh_estimator import RESNET, SIZE, batch

HEAD = dict(type='hsjp_mm.LixelHead', in_channels=64, depth=8, deconv_out_channels=(8, 8, 8))


@pytest.fixture(scope='module')
def free() -> BodyModel:
    return BodyModel().double()


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpose')


def build(**options) -> I2LMeshNet:
    torch.manual_seed(0)
    preprocessor = dict(
        type='PoseDataPreprocessor', mean=[120.0] * 3, std=[58.0] * 3, bgr_to_rgb=True
    )
    options = {'backbone': RESNET, 'head': HEAD, 'data_preprocessor': preprocessor, **options}
    return MODELS.build(dict(type='hsjp_mm.I2LMeshNet', **options))


def truth_of(model: I2LMeshNet, data: dict) -> LixelPrediction:
    """What a perfect network says of a batch."""
    samples = data['data_samples']
    inputs = torch.stack(data['inputs'])
    views = collect_views(samples, inputs.device)
    body = model.with_body(collect_targets(samples, inputs), views).body
    root = body.joints[:, model.hips, 2:].mean(dim=1, keepdim=True)
    depths = torch.cat([body.joints, body.joints24, body.vertices], dim=1)[..., 2:] - root
    joints, joints24, vertices = torch.cat([body.places, depths], dim=2).split(
        [22, 24, model.body.num_vertices], dim=1
    )
    limits = torch.tensor([*SIZE, max(SIZE)]) / max(SIZE)
    return LixelPrediction(joints, joints24, vertices, joints, limits)


def test_parameters_are_those_of_the_paper(tmp_path):
    """With 48 points of SMPL's 24 joints twice, in place of 29."""
    parents = BodyModel().parents
    np.savez(tmp_path / 'body.npz', **made_up_body(6890, parents, shapes=10, correctives=False))
    body = dict(type='hsjp_mm.BodyModel', file=str(tmp_path / 'body.npz'))
    with torch.device('meta'):
        model = build(
            backbone=dict(type='ResNet', depth=50),
            head=dict(type='hsjp_mm.LixelHead', in_channels=2048),
            body=body,
            joint_set='smpl_24',
        )
    # of each point 257 numbers for each axis, and 64 Gaussians in a 3×3 convolution to 64 channels
    more = (48 - 29) * (3 * 257 + 64 * 9 * 64)
    assert sum(p.numel() for p in model.parameters()) == 141_638_485 + more
    idle = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert idle == 9_536


def test_perfect_predictions_are_the_labels(free, monkeypatch):
    data = batch(free, 2)
    model = build(test_cfg=dict(root_depth='label')).eval()
    told = truth_of(model, data)
    monkeypatch.setattr(model, 'regress', lambda inputs: told)
    results = model.test_step(data)
    for sample in results:
        found, truth = sample.pred_instances, sample.gt_instances
        shapes = {key: tuple(value.shape) for key, value in found.all_items()}
        assert shapes == dict(
            translation=(1, 3), vertices=(1, 1229, 3), joints24=(1, 24, 3), joints=(1, 22, 3),
            keypoints=(1, 22, 2), keypoint_scores=(1, 22), keypoints_visible=(1, 22),
            bboxes=(1, 4), bbox_scores=(1,),
        )  # fmt: skip
        place = found.translation[:, None]
        torch.testing.assert_close(found.joints + place, truth.joints, atol=2e-3, rtol=0)
        body = free(*(truth.get(name).double() for name in ('rotations', 'shape', 'translation')))
        torch.testing.assert_close(found.vertices + place, body.vertices.float(), atol=2e-3, rtol=0)
        torch.testing.assert_close(found.joints24 + place, body.joints.float(), atol=2e-3, rtol=0)
        in_image = project(truth.joints, float(CAMERA[0]), torch.from_numpy(CAMERA[2:]))
        np.testing.assert_allclose(found.keypoints, in_image, atol=0.2)
        assert sample.metainfo['pred_body'] == (
            'the free body, joints by h36m_17, coco_17, root depth of the labels'
        )
    metric = MeshError()
    metric.dataset_meta = dict(
        keypoint_name2id={name: i for i, name in enumerate(joint_names('mesh_22'))}
    )
    for sample in results:
        sample.gt_instances.joints_weight[:] = 1
    metric.process({}, [sample.to_dict() for sample in results])
    scores = metric.compute_metrics(metric.results)
    assert scores['MPJPE'] < 2


def test_labels_of_a_perfect_network_cost_nothing(free, monkeypatch):
    data = batch(free, augmented=True)
    model = build().train()
    told = truth_of(model, data)
    monkeypatch.setattr(model, 'regress', lambda inputs: told)
    packed = model.data_preprocessor(data, True)
    losses = model.loss(packed['inputs'], packed['data_samples'])
    for name, value in losses.items():
        if name not in ('mpjpe', 'loss_normals'):
            assert float(value) < 0.02, name
    # sides lie in their triangles, which the regard along rays bends little
    assert float(losses['loss_normals']) < 1e-3


def test_gradients_reach_both_backbones_and_not_the_idle_stem(free):
    model = build().train()
    packed = model.data_preprocessor(batch(free, augmented=True), True)
    losses = model.loss(packed['inputs'], packed['data_samples'])
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    assert without == {
        f'mesh_backbone.{name}' for name in ('conv1.weight', 'bn1.weight', 'bn1.bias')
    }
    assert losses['loss_mesh'] > 0
    for name, value in losses.items():
        assert value.isfinite(), name


def test_the_mesh_does_not_train_joints_through_their_gaussians(free):
    model = build().train()
    model.regress(torch.rand(2, 3, SIZE[1], SIZE[0])).vertices.square().sum().backward()
    reached = {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {'backbone', 'fusion', 'mesh_backbone', 'mesh_head'}
    # the first backbone through its stem's features alone
    assert model.backbone.conv1.weight.grad is not None
    assert model.backbone.layer1[0].conv1.weight.grad is None


def test_both_backbones_start_from_one_checkpoint(tmp_path):
    start = MODELS.build(RESNET)
    torch.save(start.state_dict(), tmp_path / 'start.pth')
    init = dict(type='hsjp_mm.PretextInit', checkpoint=str(tmp_path / 'start.pth'))
    model = build(backbone={**RESNET, 'init_cfg': init})
    model.init_weights()
    for name, value in start.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value)
        assert torch.equal(model.mesh_backbone.state_dict()[name], value)
    assert 'mesh_backbone.layer4.1.conv2.weight' in model.state_dict()
    assert not [key for key in model.state_dict() if key.startswith('body')]


def test_the_root_depth_is_guessed_from_the_box(free):
    """As if the crop's side were two meters long at the hips."""
    data = batch(free, 2)
    model = build().eval()
    for sample in model.test_step(data):
        side = float(sample.metainfo['crop'][2])
        depth = float(sample.pred_instances.translation[0, 2])
        assert depth == pytest.approx(CAMERA[0] * 2 / side, rel=0.1)
        assert sample.metainfo['pred_body'].endswith('root depth guessed from the box')
    data = batch(free, 1)
    data['data_samples'][0].gt_instances.has_translation[:] = 0
    [sample] = build(test_cfg=dict(root_depth='label')).eval().test_step(data)
    assert sample.metainfo['pred_body'].endswith('root depth guessed from the box')


def test_a_trained_network_is_tested_in_the_points_of_other_data(free):
    data = batch(free, 2)
    trained = build().eval()
    model = build(test_cfg=dict(joint_set='common_14')).eval()
    model.load_state_dict(trained.state_dict())
    with torch.no_grad():
        expected, found = (m.test_step(data)[0].pred_instances for m in (trained, model))
    absolute = [one.vertices + one.translation[:, None] for one in (expected, found)]
    torch.testing.assert_close(*absolute)
    assert found.joints.shape == (1, len(joint_names('common_14')), 3)
    hips = found.joints[:, model.output_hips].mean(dim=1)
    torch.testing.assert_close(hips, torch.zeros(1, 3), atol=1e-6, rtol=0)


def test_a_batch_of_one_is_refused(free):
    with pytest.raises(ValueError, match=r'batch of 1 crop .*train_dataloader\.batch_size'):
        model = build().train()
        model(**model.data_preprocessor(batch(free, 1), True), mode='loss')


def test_a_gaussian_about_each_joint():
    cells = torch.tensor([[[1.5, 2.0, 0.25], [3.0, 0.0, 1.0]]])
    volume = gaussian_volume(cells, (4, 3, 2))
    assert volume.shape == (1, 2, 2, 3, 4)
    for n, (x, y, z) in enumerate(cells[0].tolist()):
        for d in range(2):
            for i in range(3):
                for j in range(4):
                    away = (j - x) ** 2 + (i - y) ** 2 + (d - z) ** 2
                    expected = math.exp(-away / (2 * 2.5**2))
                    assert float(volume[0, n, d, i, j]) == pytest.approx(expected, rel=1e-5)


def test_inputs_need_not_be_square_but_whole_cells():
    model = build().eval()
    joints, joints24, vertices = model(torch.rand(2, 3, 64, 96), None, mode='tensor')
    assert (joints.shape, joints24.shape) == ((2, 22, 3), (2, 24, 3))
    assert vertices.shape == (2, 1229, 3)
    assert (joints[..., 1].abs() <= 64 / 96).all()
    with pytest.raises(ValueError, match='100×64 pixels must have sides of multiples of 32'):
        model(torch.rand(1, 3, 64, 100), None, mode='tensor')


def test_a_deep_stem_is_run_once():
    model = build(backbone=dict(RESNET, type='ResNetV1d')).train()
    model.regress(torch.rand(2, 3, 64, 64)).vertices.sum().backward()
    assert model.backbone.stem[0].conv.weight.grad is not None
    assert not any(p.requires_grad for p in model.mesh_backbone.stem.parameters())


def test_options_are_checked():
    with pytest.raises(ValueError, match='flip_test=True must be False'):
        build(test_cfg=dict(flip_test=True))
    with pytest.raises(ValueError, match="root_depth='given' must be one of box, label"):
        build(test_cfg=dict(root_depth='given'))
    with pytest.raises(ValueError, match="backbone='MobileNetV2' must be a ResNet"):
        build(backbone=dict(type='MobileNetV2'))
    with pytest.raises(ValueError, match="joint_set='extra_9' has thorax"):
        build(joint_set='extra_9')


def test_half_precision_ends_at_the_heads(free):
    model = build().train()
    packed = model.data_preprocessor(batch(free), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(packed['inputs'], packed['data_samples'])
    assert all(value.dtype == torch.float32 for value in losses.values())
    assert all(value.isfinite() for value in losses.values())
