import pytest
import torch

from hsjp_mm.utils.devices import require_device


def test_devices_that_are_there_are_taken():
    require_device('cpu')
    require_device('cpu:0')


@pytest.mark.parametrize('device', ['foo', '', 'meta', f'cuda:{torch.cuda.device_count()}'])
def test_others_are_refused_in_one_line(device):
    with pytest.raises(ValueError, match=f"^device='{device}' cannot be used: ") as caught:
        require_device(device)
    assert len(str(caught.value).splitlines()) == 1
