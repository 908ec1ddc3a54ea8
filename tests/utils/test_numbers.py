import numpy as np
import pytest

from hsjp_mm.utils.numbers import require_whole


def test_whole_numbers_of_every_kind_pass():
    for value in (1, 7, np.int64(3)):
        require_whole('number', value)
    require_whole('number', 0, least=0)


@pytest.mark.parametrize('value', [0, -1, 2.0, '3', None, True, float('nan')])
def test_others_are_refused_by_name_and_value(value):
    with pytest.raises(ValueError, match=f'number={value!r} must be a whole number of at least 1'):
        require_whole('number', value)
