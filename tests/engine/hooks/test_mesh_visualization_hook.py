"""What it draws is tested with the tool that draws the same, ``tests/tools/test_draw_mesh.py``."""

import pytest

from hsjp_mm.engine import MeshVisualizationHook


@pytest.mark.parametrize('wrong', [{'num_persons': 0}, {'interval': 0}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))}=0'):
        MeshVisualizationHook(**wrong)
