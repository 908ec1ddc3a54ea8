import pytest

from hsjp_mm.environment import wheels


@pytest.mark.parametrize(
    ('changed', 'expected'),
    [
        ({}, True),
        ({'torch': '2.1.0'}, True),
        ({'cuda': '11.8'}, True),
        ({'cuda': 'cpu'}, True),
        ({'torch': '2.0.1', 'cuda': '11.8'}, False),  # there is one, for a torch that is refused
        ({'torch': '2.2.0'}, False),
        ({'torch': '2.11.0'}, False),  # not 2.1
        ({'python': '3.12.1'}, False),
        ({'python': '3.7.16'}, False),
        ({'cuda': '12.4'}, False),
        ({'cuda': ''}, False),
        ({'machine': 'linux aarch64'}, False),
        ({'mmcv': '2.2.0'}, False),
    ],
)
def test_wheels_of_the_table(changed, expected):
    case = dict(
        mmcv='2.1.0', machine='linux x86_64', python='3.10.13', torch='2.1.2+cu121', cuda='12.1'
    )
    assert wheels.has_wheel(**case | changed) is expected


def test_the_table_in_words():
    assert 'with torch 2.1 (CPU, CUDA 11.8, CUDA 12.1), as of' in wheels.describe()
