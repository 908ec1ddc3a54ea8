import torch

from hsjp_mm.models import PAREHead
from hsjp_mm.models.heads.mesh.pare_head import part_attention
from hsjp_mm.ops.rotations import rotation6d_to_matrix


def small_head(**options) -> PAREHead:
    torch.manual_seed(0)
    layers = dict(deconv_out_channels=(6,), deconv_kernel_sizes=(4,))
    return PAREHead(8, thin_channels=3, num_shape=4, **{**layers, **options}).eval()


def test_attention_of_each_part_sums_to_one_over_the_map():
    scores = torch.randn(2, 25, 6, 4)
    attention = part_attention(scores)
    assert attention.shape == (2, 24, 6, 4)
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(2, 24))
    value = scores[1, 7, 2, 3].exp() / scores[1, 7].exp().sum()
    torch.testing.assert_close(attention[1, 6, 2, 3], value)  # channel 0 is the background


def test_each_joint_reads_the_features_that_its_part_weighs():
    """Equations 1 and 2 of the paper, joint by joint and place by place."""
    head = small_head()
    maps = torch.randn(2, 8, 5, 3)
    found = head([maps])
    scores, features = head.part_branch([maps]), head.feature_branch([maps])
    assert scores.shape == (2, 25, 10, 6)
    assert features.shape == (2, 6, 10, 6)
    torch.testing.assert_close(found.part_scores, scores)
    thin = head.thin(features)
    for b in range(2):
        gathered = []
        for joint in range(24):
            weights = scores[b, joint + 1].flatten().softmax(dim=0)
            own, small = torch.zeros(6), torch.zeros(3)
            for place, weight in enumerate(weights):
                own += weight * features[b].flatten(1)[:, place]
                small += weight * thin[b].flatten(1)[:, place]
            gathered.append(small)
            six = own @ head.pose[joint] + head.mean_pose[0].reshape(24, 6)[joint]
            torch.testing.assert_close(
                found.rotations[b, joint], rotation6d_to_matrix(six), atol=1e-5, rtol=1e-4
            )
        together = torch.cat(gathered)
        torch.testing.assert_close(found.shape[b], head.shape(together), atol=1e-5, rtol=1e-4)
        camera = head.camera(together) + torch.tensor([0.9, 0, 0])
        torch.testing.assert_close(found.weak[b], camera, atol=1e-5, rtol=1e-4)


def test_of_hrnet_keeps_the_size_of_the_map():
    head = small_head(deconv_out_channels=None, conv_out_channels=(6, 6), conv_kernel_sizes=(3, 3))
    found = head([torch.randn(2, 8, 12, 10)])
    assert found.part_scores is not None
    assert found.part_scores.shape == (2, 25, 12, 10)
    kernels = [layer.kernel_size for layer in head.part_branch.conv_layers[::3]]
    assert kernels == [(3, 3), (3, 3)]


def test_branches_have_the_names_of_stock_poses():
    """So that the deconvolutions of a 2D pose model can be carried over."""
    names = set(small_head().state_dict())
    assert {'part_branch.deconv_layers.0.weight', 'part_branch.final_layer.weight'} <= names
    assert 'feature_branch.final_layer.weight' not in names
