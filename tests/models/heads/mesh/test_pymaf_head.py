import pytest
import torch

from hsjp_mm.models import BodyModel, MeshPrediction, PyMAFHead
from hsjp_mm.models.heads.mesh.pymaf_head import GRID, PointNetwork, on_maps, sample_maps


def small_head(**options) -> PyMAFHead:
    torch.manual_seed(0)
    layers = dict(deconv_out_channels=(6, 6, 4), deconv_kernel_sizes=(4, 4, 4))
    return PyMAFHead(
        8, num_points=7, hidden_channels=5, num_shape=4, **{**layers, **options}
    ).eval()


def flat(prediction: MeshPrediction) -> torch.Tensor:
    """A mesh of nine vertices that follow what is predicted."""
    rotations = prediction.rotations[:, :9, :2, 0] + prediction.weak[:, None, :2]
    return rotations.clamp(-1, 1)


def test_parameters_are_those_of_the_paper():
    head = PyMAFHead(2048)
    parts = sum(p.numel() for p in head.part_layer.parameters())
    assert parts == 57_625  # 25 × (256 × 9 + 1); with U and V, and the parts again, 207,450
    assert sum(p.numel() for p in head.parameters()) - parts == 44_961_062 - 23_508_032


def test_points_are_read_between_the_cells():
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    places = torch.tensor([[[-1.0, -1], [1, 1], [0, 0], [-1 / 3, 1], [3, 0]]])
    assert sample_maps(maps, places).flatten().tolist() == pytest.approx([0, 11, 5.5, 9, 0])


@pytest.mark.parametrize('size', [(8, 8), (8, 6), (4, 8)])
def test_a_place_on_the_crop_is_the_same_pixel_of_any_input(size):
    """Maps that hold their own columns and rows; one of the crop's middle as wide as the input."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing='ij')
    maps = torch.stack([x, y])[None]
    places = torch.tensor([[[0.0, 0], [0.2, -0.3], [-0.4, 0.4]]])
    read = sample_maps(maps, on_maps(places, maps))
    cells = (places + 1) / 2 * 7 - torch.tensor([8 - width, 8 - height]) / 2  # of 8×8 cells
    torch.testing.assert_close(read, cells)


def test_the_point_network_sees_the_features_in_each_layer():
    torch.manual_seed(0)
    network = PointNetwork(3)
    features = torch.randn(2, 4, 3)
    found = network(features)
    assert found.shape == (2, 4, 5)
    one = features[1, 2]
    first = network.layers[0](one)
    first = torch.where(first > 0, first, 0.01 * first)
    second = network.layers[1](torch.cat([first, one]))
    second = torch.where(second > 0, second, 0.01 * second)
    last = network.layers[2](torch.cat([second, one])).clamp(min=0)
    torch.testing.assert_close(found[1, 2], last)


def test_each_step_reads_the_next_map_where_the_last_guess_is():
    head = small_head()
    head.points = torch.tensor([8, 0, 2, 3, 4, 5, 6])
    maps = torch.randn(2, 8, 3, 2)
    found = head([maps], project=flat)
    assert len(found.earlier) == 2
    guess = None
    for step in range(3):
        maps = head.deconvs[step](maps)
        assert maps.shape[2:] == (3 * 2 ** (step + 1), 2 * 2 ** (step + 1))
        if guess is None:
            places = torch.stack(
                [torch.tensor([x, y]) for y in torch.linspace(-1, 1, GRID)
                 for x in torch.linspace(-1, 1, GRID)]
            ).expand(2, -1, -1)  # fmt: skip
            state = [head.mean_pose, head.mean_shape, head.mean_camera]
            state = [part.expand(2, -1) for part in state]
        else:
            places = on_maps(flat(guess)[:, head.points], maps)
        read = head.point_networks[step](sample_maps(maps, places)).flatten(1)
        hidden = head.regressors[step](torch.cat([read, *state], dim=1))
        changes = head.decoders[step](hidden).split([144, 4, 3], dim=1)
        state = [a + b for a, b in zip(state, changes, strict=True)]
        guess = head.prediction(*state)
        torch.testing.assert_close(guess.rotations, (*found.earlier, found)[step].rotations)
    torch.testing.assert_close(guess.weak, found.weak)
    torch.testing.assert_close(head.part_layer(maps), found.part_scores)


def test_no_gradient_flows_between_the_steps():
    head = small_head()
    found = head([torch.randn(2, 8, 3, 3)], project=flat)
    found.rotations.sum().backward(retain_graph=True)
    assert head.decoders[2].weight.grad.abs().sum() > 0
    assert all(head.decoders[step].weight.grad is None for step in (0, 1))
    assert all(p.grad is None for p in head.point_networks[1].parameters())
    found.earlier[0].shape.sum().backward()
    assert head.decoders[0].weight.grad.abs().sum() > 0


def test_the_vertices_lie_all_over_any_body():
    head = small_head()
    template = BodyModel().flat_template.unflatten(0, (3, -1)).T
    head.set_body(template)
    height = template[head.points, 1]
    assert len(head.points.unique()) == 7
    assert height.max() - height.min() > 0.9 * (template[:, 1].max() - template[:, 1].min())


def test_it_needs_the_mesh():
    with pytest.raises(ValueError, match='project is not given'):
        small_head()([torch.randn(1, 8, 3, 3)])
