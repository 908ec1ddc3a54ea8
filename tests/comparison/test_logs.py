"""Reading what MMEngine leaves in a work folder, also where it was killed over it."""

import pytest

from hsjp_mm.comparison.logs import merge_scalars, reason_of

WHOLE = ['{"loss": 1.0, "step": 1}', '{"coco/AP": 0.1, "step": 1}']


@pytest.mark.parametrize('cut', ['{"loss": 0.5, "st', '{"lo', '\0\0\0', 'caf\udcc3'])
def test_a_cut_last_line_is_left_out(cut, tmp_path):
    first, second = tmp_path / '1.json', tmp_path / '2.json'
    first.write_bytes('\n'.join([*WHOLE, cut]).encode(errors='surrogateescape'))
    second.write_text('{"loss": 0.5, "step": 2}\n')
    train, val = merge_scalars([first, second])
    assert [line['loss'] for line in train] == [1.0, 0.5]
    assert val == [{'coco/AP': 0.1, 'step': 1}]


def test_another_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / 'scalars.json'
    path.write_text('\n'.join([WHOLE[0], '{"lo', WHOLE[1]]))
    with pytest.raises(ValueError, match=r'scalars\.json, line 2 is no JSON: Unterminated'):
        merge_scalars([path])


def test_reasons_say_something_of_any_error():
    assert reason_of(ValueError('no <file>.')) == 'no <file>'
    assert reason_of(KeyError('x')) == "KeyError: 'x'"
    assert reason_of(AssertionError()) == 'AssertionError'
