import pytest
import torch
from mmengine.runner import load_checkpoint

from hsjp_mm.models import HSJP, JigClu, Measure
from tests.helpers import tiny_jigclu


def test_a_measure_is_logged_in_training_without_its_pretext():
    assert Measure('hsjp/placed', 'patches placed right').in_training == 'placed'
    assert Measure('solved', 'tasks solved').in_training == 'solved'


@pytest.mark.parametrize('cls', [HSJP, JigClu])
def test_the_best_checkpoint_is_chosen_by_a_measure_of_the_class(cls):
    shares = [measure.name for measure in cls.measures if measure.share]
    assert cls.save_best in shares
    assert len({measure.name for measure in cls.measures}) == len(cls.measures)


def test_the_identity_stands_in_the_checkpoint_by_name(make_model):
    state = make_model(grid=3, unshuffled=True, backbone=dict(type='ResNet', depth=18), head=dict(
        type='hsjp_mm.HSJPHead', in_channels=512)).state_dict()  # fmt: skip
    named = {k: v for k, v in state.items() if k.startswith('identity.')}
    assert named == {'identity.grid': 3, 'identity.unshuffled': 1}
    assert all(value.dtype == torch.long and value.shape == () for value in named.values())
    assert set(tiny_jigclu().identity.state_dict()) == {'grid'}


def test_weights_without_an_identity_are_taken_for_the_head_that_fits(make_model):
    model = make_model(grid=3)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith('identity.')}
    result = make_model(grid=3).load_state_dict(state, strict=False)
    assert result.missing_keys == ['identity.grid', 'identity.unshuffled']
    with pytest.raises(ValueError, match='the checkpoint has another head'):
        make_model(grid=2).load_state_dict(state, strict=False)


def old_state(model, unshuffled: bool = False) -> dict:
    """A state dict as version 0.1 wrote it."""
    state = {k: v for k, v in model.state_dict().items() if not k.startswith('identity.')}
    return {**state, 'puzzle': torch.tensor([model.grid, int(unshuffled)])}


@pytest.mark.parametrize('kind', ['hsjp', 'jigclu'])
def test_checkpoints_of_version_0_1_load_whole(make_model, tmp_path, kind):
    make = make_model if kind == 'hsjp' else tiny_jigclu
    model = make(grid=3)
    state = old_state(model)
    make(grid=3).load_state_dict(state)  # strictly: nothing is missing, nothing is left
    assert 'puzzle' in state  # the caller's dictionary stays as it was
    with torch.no_grad():
        for weight in (other := make(grid=3)).parameters():
            weight.zero_()
    torch.save({'state_dict': state}, tmp_path / 'old.pth')
    load_checkpoint(other, str(tmp_path / 'old.pth'), 'cpu', strict=True)  # as the runner does
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in other.state_dict().items())
    with pytest.raises(ValueError, match=r'the checkpoint has grid=3.*the model grid=2'):
        make(grid=2).load_state_dict(state, strict=False)


def test_an_old_puzzle_that_the_model_does_not_know_is_refused():
    model = tiny_jigclu()
    with pytest.raises(ValueError, match=r'unshuffled=True, the model no such puzzle \(JigClu\)'):
        model.load_state_dict(old_state(model, unshuffled=True))
