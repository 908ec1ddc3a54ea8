"""Packages of an extra: nothing fails without them but what uses them, and that says what to do."""

import subprocess
import sys

import pytest

from hsjp_mm.utils.optional import import_optional
from tests.helpers import ROOT


def test_what_is_there_is_imported():
    assert import_optional('json.decoder', 'this').JSONDecodeError


def test_what_is_absent_is_named_with_its_command():
    with pytest.raises(ImportError) as refusal:
        import_optional('no_such_package.part', 'reading x.y')
    message = 'reading x.y needs no_such_package: run `pip install no_such_package`'
    assert str(refusal.value) == message
    assert refusal.value.name == 'no_such_package'


def test_a_broken_package_speaks_for_itself(tmp_path, monkeypatch):
    (tmp_path / 'half_there.py').write_text('import no_such_package')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_package'$"):
        import_optional('half_there', 'this')


BLOCKED = """
import sys

from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_others(name, *rest, **named):
    #As if the four were not installed.
    absent = name.partition('.')[0] in ('h5py', 'lmdb', 'skimage', 'sklearn')
    return None if absent else find_spec(name, *rest, **named)

PathFinder.find_spec = find_others
import hsjp_mm
import numpy as np
from mmengine.config import Config
from hsjp_mm import registry
from hsjp_mm.analysis import part_groups
from hsjp_mm.datasets import PersonCropDataset, SegmentCrop
from hsjp_mm.evaluation import PCKh, pckh

for name, kind in vars(registry).items():
    if isinstance(kind, registry.Registry) and kind.scope == 'hsjp_mm':
        kind.import_from_location()
backbone = Config.fromfile('configs/_base_/hrnet-tiny.py').hrnet_tiny
head = dict(type='hsjp_mm.HSJPHead', in_channels=16, deconv_out_channels=None)
registry.MODELS.build(
    dict(type='hsjp_mm.HSJP', backbone=backbone, head=head, grid=2, input_size=(64, 64))
)
assert registry.METRICS.build(dict(type='hsjp_mm.PCKh')).visibility is None
box = np.array([[8.0, 8.0]])
crop = dict(img=np.zeros((9, 9, 3), np.uint8), bbox_center=box, bbox_scale=box)
assert SegmentCrop(dict(method='grid'))(crop)['segments'].max() == 15
for use, message in (
    (lambda: registry.METRICS.build(dict(type='hsjp_mm.PCKh', visibility_file='setup.py')),
     "reading visibility_file='setup.py' needs h5py: run `pip install h5py`"),
    (lambda: part_groups.mutual_information(np.zeros((2, 2), int), 4),
     'grouping keypoints needs scikit-learn: run `pip install scikit-learn`'),
    (lambda: PersonCropDataset('a.json', store='here'),
     'a store of crops needs lmdb: run `pip install lmdb`'),
    (lambda: part_groups.cluster(np.eye(3), 2),
     'grouping keypoints needs scikit-learn: run `pip install scikit-learn`'),
    (lambda: SegmentCrop(dict(method='felzenszwalb'))(crop),
     "dividing a crop by method='felzenszwalb' needs scikit-image: run `pip install scikit-image`"),
):
    try:
        use()
    except ImportError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)
loaded = {name.partition('.')[0] for name, module in sys.modules.items() if module}
assert not loaded & {'h5py', 'lmdb', 'skimage', 'sklearn'}
"""


@pytest.mark.slow
def test_all_but_their_users_works_without_h5py_lmdb_scikit_image_and_scikit_learn():
    done = subprocess.run(
        [sys.executable, '-c', BLOCKED], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
