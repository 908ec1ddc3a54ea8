"""What the recipe of a run says of its files."""

from pathlib import Path

import pytest

from hsjp_mm.comparison.recipes import RECIPE_VERSION, moved_from


def recipe(root: str, lr: float = 0.1, sha: str = 'a') -> dict:
    return {
        'version': RECIPE_VERSION,
        'data': {f'{root}/data/toy/train.json': sha, 'sets/mine.py': 'b'},
        'protocol': {'data_root': f'{root}/data/toy/', 'files': [f'{root}/x', 'y'], 'lr': lr},
    }


def test_a_moved_folder_is_told_from_another_recipe():
    before = recipe('/old/out')
    assert moved_from(before, recipe('/new/place/out')) == (Path('/old'), Path('/new/place'))
    assert moved_from(before, recipe('/old/renamed')) == (Path('/old/out'), Path('/old/renamed'))


@pytest.mark.parametrize(
    'now', [recipe('/old/out', lr=0.2), recipe('/new', lr=0.2), recipe('/new', sha='c')]
)
def test_what_changed_otherwise_is_not_moved(now):
    assert moved_from(recipe('/old/out'), now) is None
