"""The module that is exported gives the persons that the estimator predicts, in ONNX too."""

import numpy as np
import pytest
import torch
from mmengine import Config
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

from hsjp_mm.models import BottomupMaps
from tests.helpers import ROOT

WIDTH, HEIGHT = 96, 64
FLIP = [0, 2, 1]


def make_model(**head):
    """A small HigherHRNet with random weights, large enough for peaks above the threshold."""
    torch.manual_seed(0)
    codec = dict(
        type='hsjp_mm.AssociativeEmbedding', input_size=(WIDTH, HEIGHT),
        heatmap_size=(WIDTH, HEIGHT), decode_keypoint_order=[0, 1, 2], decode_center_shift=0.5,
    )  # fmt: skip
    backbone = Config.fromfile(ROOT / 'configs/_base_/hrnet-tiny.py').hrnet_tiny
    head = dict(type='hsjp_mm.HigherHRNetHead', in_channels=16, decoder=codec) | head
    model = MODELS.build(dict(type='BottomupPoseEstimator', backbone=backbone, head=head)).eval()
    for layer in (model.head.final_layer, *model.head.deconv_final_layers):
        torch.nn.init.normal_(layer.weight, std=2)
    return model.requires_grad_(False)


def predict(model, image, flip):
    """Keypoints and scores that the estimator predicts, in pixels of the input."""
    model.test_cfg['flip_test'] = flip
    size = np.array([WIDTH, HEIGHT])
    place = dict(input_size=size, input_center=size / 2, input_scale=size, flip_indices=FLIP)
    (sample,) = model.predict(image, [PoseDataSample(metainfo=place)])
    return sample.pred_instances.keypoints, sample.pred_instances.keypoint_scores


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('aggregate', [False, True])
def test_maps_are_decoded_to_what_the_estimator_predicts(flip, aggregate):
    model = make_model()
    model.test_cfg['aggregate'] = aggregate
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    keypoints, scores = predict(model, image, flip)
    maps = BottomupMaps(model, FLIP if flip else None)(image)
    (found,), (heights,), _ = model.head.decoder.batch_decode(*maps)
    assert len(found) > 1
    np.testing.assert_allclose(found, keypoints, rtol=0, atol=1e-9)
    np.testing.assert_allclose(heights, scores, rtol=0, atol=1e-6)
    model.test_cfg['output_heatmaps'] = True  # enlarges all, as BottomupMaps does
    keypoints, scores = predict(model, image, flip)
    np.testing.assert_allclose(found, keypoints, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(heights, scores)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')  # the size of the input is fixed
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.slow
def test_onnx_runtime_gives_the_same_keypoints(flip, tmp_path):
    pytest.importorskip('onnx', reason='torch writes ONNX files with it')
    runtime = pytest.importorskip('onnxruntime', reason='runs the exported network')
    model = make_model()
    maps = BottomupMaps(model, FLIP if flip else None)
    first, image = torch.rand(2, 1, 3, HEIGHT, WIDTH)
    path = tmp_path / 'maps.onnx'
    torch.onnx.export(
        maps, (first,), path, input_names=['image'], output_names=['heatmaps', 'tags'],
        opset_version=13, dynamo=False,
    )  # fmt: skip
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    outputs = [torch.from_numpy(one) for one in session.run(None, {'image': image.numpy()})]
    for exported, eager in zip(outputs, maps(image), strict=True):
        torch.testing.assert_close(exported, eager, rtol=1e-4, atol=1e-4)
    (found,), (heights,), _ = model.head.decoder.batch_decode(*outputs)
    keypoints, scores = predict(model, image, flip)
    np.testing.assert_allclose(found, keypoints, rtol=0, atol=1e-9)
    np.testing.assert_allclose(heights, scores, rtol=0, atol=1e-4)


def test_what_does_not_fit_is_refused():
    model = make_model()
    with pytest.raises(ValueError, match=r'flip_indices must have 3 entries, .* not 2'):
        BottomupMaps(model, [1, 0])
    model.head = torch.nn.Identity()
    with pytest.raises(ValueError, match=r'must be a hsjp_mm\.HigherHRNetHead, not a Identity'):
        BottomupMaps(model)
