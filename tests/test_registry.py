"""The plugin in fresh interpreters: its names are found, and stock parts stay as they are."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch

# Before version 2.6 torch cannot be told what to load, and takes everything.
CAN_BE_TOLD = hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint')
# What torch.load takes with hsjp_mm in addition: what MMEngine's checkpoints hold.
ALLOWED = [
    'builtins.bytes',  # guarded functions in their places
    'builtins.getattr',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy._core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct',
    'numpy.core.multiarray.scalar',
    'numpy.dtype',
    'numpy.dtypes.BoolDType',
    'numpy.dtypes.Float16DType',
    'numpy.dtypes.Float32DType',
    'numpy.dtypes.Float64DType',
    'numpy.dtypes.Int16DType',
    'numpy.dtypes.Int32DType',
    'numpy.dtypes.Int64DType',
    'numpy.dtypes.Int8DType',
    'numpy.dtypes.LongLongDType',
    'numpy.dtypes.UInt16DType',
    'numpy.dtypes.UInt32DType',
    'numpy.dtypes.UInt64DType',
    'numpy.dtypes.UInt8DType',
    'numpy.dtypes.ULongLongDType',
    'numpy.ndarray',
]

# argv[1] is the scope. Builds one class of each registry, from the scope's registry and from
# MMEngine's, whose nested parts are found as well (backbones and heads, the pipeline).
BUILD = """
import importlib, json, sys
import torch
import mmengine.registry as roots
scope = sys.argv[1]
registries = importlib.import_module(f'{scope}.registry')
roots.init_default_scope(scope)
assert 'hsjp_mm' not in sys.modules
head = dict(type='hsjp_mm.HSJPHead', in_channels=512)
jigclu_head = dict(type='hsjp_mm.JigCluHead', in_channels=512)
parts_head = dict(type='hsjp_mm.PartSegmentationHead', in_channels=512)
surface_head = dict(type='hsjp_mm.DensePoseHead', in_channels=512)
backbone = dict(type='ResNet', depth=18)
colors = dict(type='hsjp_mm.ColorAugmentation')
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
parts = [
    ('HOOKS', dict(type='hsjp_mm.SkippedImagesHook')),
    ('HOOKS', dict(type='hsjp_mm.PrepareDataHook')),
    ('HOOKS', dict(type='hsjp_mm.BottomupVisualizationHook')),
    ('HOOKS', dict(type='hsjp_mm.MeshVisualizationHook')),
    ('HOOKS', dict(type='hsjp_mm.FreezeHook', layers=[0])),
    ('HOOKS', dict(type='hsjp_mm.SpatialWarmupHook', iters=1)),
    ('OPTIM_WRAPPERS', dict(type='hsjp_mm.BFloat16OptimWrapper', optimizer=optimizer)),
    ('METRICS', dict(type='hsjp_mm.HSJPPrecision')),
    ('METRICS', dict(type='hsjp_mm.JigCluAccuracy')),
    ('METRICS', dict(type='hsjp_mm.MAEExplainedVariance')),
    ('METRICS', dict(type='hsjp_mm.PartIoU')),
    ('METRICS', dict(type='hsjp_mm.DensePoseAccuracy')),
    ('METRICS', dict(type='hsjp_mm.ViewRetrieval')),
    ('METRICS', dict(type='hsjp_mm.PCKh')),
    ('METRICS', dict(type='hsjp_mm.LSPPCK')),
    ('TRANSFORMS', colors),
    ('TRANSFORMS', dict(type='hsjp_mm.PatchAugmentation')),
    ('TRANSFORMS', dict(type='hsjp_mm.MakeViews')),
    ('TRANSFORMS', dict(type='hsjp_mm.BottomupResize', input_size=(64, 64))),
    ('TRANSFORMS', dict(type='hsjp_mm.TopdownShearAffine', input_size=(64, 64))),
    ('TRANSFORMS', dict(type='hsjp_mm.TopdownPyramid', input_size=(64, 64))),
    ('TRANSFORMS', dict(type='hsjp_mm.TopdownDenseAffine', input_size=(64, 64))),
    ('DATASETS', dict(type='hsjp_mm.PersonCropDataset', lazy_init=True, pipeline=[colors])),
    ('DATASETS', dict(type='hsjp_mm.PartMaskDataset', ann_file='a.json', lazy_init=True)),
    ('DATASETS', dict(type='hsjp_mm.DensePoseDataset', ann_file='a.json', lazy_init=True)),
    ('WEIGHT_INITIALIZERS', dict(type='hsjp_mm.PretextInit', checkpoint='backbone.pth')),
    ('MODELS', dict(type='hsjp_mm.GroupingLoss')),
    ('MODELS', dict(type='hsjp_mm.PartBranchHourglass', num_keypoints=2, num_stacks=1)),
    ('MODELS', dict(head, grid=2)),
    ('MODELS', dict(type='hsjp_mm.HSJP', backbone=backbone, head=head)),
    ('MODELS', dict(jigclu_head, grid=2)),
    ('MODELS', dict(type='hsjp_mm.JigClu', backbone=backbone, head=jigclu_head)),
    ('MODELS', dict(parts_head, num_parts=2)),
    ('MODELS', dict(type='hsjp_mm.PartSegmentation', backbone=backbone, head=parts_head)),
    ('MODELS', surface_head),
    ('MODELS', dict(type='hsjp_mm.DensePose', backbone=backbone, head=surface_head)),
]
built = [
    (type(part).__module__.split('.')[0], type(part).__name__)
    for name, cfg in parts
    for part in (getattr(registries, name).build(cfg), getattr(roots, name).build(cfg))
]
# scikit-learn takes seconds of every start, for one tool; MMDetection loads it itself
assert scope == 'mmdet' or 'sklearn' not in sys.modules
print(json.dumps(built))
"""

# Compares the stock packages before and after the import of all of hsjp_mm: every name of every
# module and class by identity, bodies and defaults of functions, contents of containers and
# registries, the global state, and what torch.load takes.
COMPARE = """
import importlib, json, pkgutil, random, sys, types
import mmcv.ops, mmengine.hub, mmengine.runner, numpy, torch, torchvision
import mmdet.utils, mmpose.utils
from mmengine.registry import DefaultScope, Registry
mmdet.utils.register_all_modules(init_default_scope=False)
mmpose.utils.register_all_modules(init_default_scope=False)
STOCK = ('mmengine', 'mmcv', 'mmdet', 'mmpose', 'torch', 'torchvision')
modules = {n: m for n, m in sys.modules.items() if n.split('.')[0] in STOCK and m is not None}

def content(value):
    if isinstance(value, types.FunctionType):
        return [value.__code__, value.__defaults__, value.__kwdefaults__]
    return value.copy() if type(value) in (dict, list, set) else None

def names():
    found = {}
    for name, module in modules.items():
        for key, value in list(vars(module).items()):
            found[f'{name}.{key}'] = (value, content(value))
            if isinstance(value, type) and value.__module__ == name:
                for inner, item in list(vars(value).items()):
                    found[f'{name}.{key}.{inner}'] = (item, content(item))
    return found

def registries(names):
    found = [value for value, _ in names.values() if isinstance(value, Registry)]
    classes = {f'{r.scope}::{r.name}': dict(r.module_dict) for r in found}
    return classes, {f'{r.scope}::{r.name}/{child}' for r in found for child in r.children}

def state():
    return repr((
        random.getstate(), numpy.random.get_state(), torch.get_rng_state().tolist(),
        DefaultScope.get_current_instance(),
    ))

def allowed():
    if not hasattr(torch.serialization, 'get_safe_globals'):  # new in torch 2.5
        return set()
    found = torch.serialization.get_safe_globals()
    pairs = [x if isinstance(x, tuple) else (x, None) for x in found]
    return {name or f'{item.__module__}.{item.__qualname__}' for item, name in pairs}

def loads():
    errors = []
    for path in ('history.pth', 'foreign.pth'):
        try:
            errors.append(torch.load(path) and None)
        except Exception as error:
            errors.append(type(error).__name__)
    return errors

torch.save([mmengine.logging.HistoryBuffer([1.0], [1])], 'history.pth')
torch.save([mmengine.Config(dict(a=1))], 'foreign.pth')
old, old_state, old_allowed, old_loads = names(), state(), allowed(), loads()
old_classes, old_children = registries(old)
import hsjp_mm
for module in pkgutil.walk_packages(hsjp_mm.__path__, 'hsjp_mm.'):
    importlib.import_module(module.name)
new = names()
classes, children = registries(new)
gone = (None, None)
print(json.dumps(dict(
    number=len(old),
    differing=sorted(
        name for name in old.keys() | new.keys()
        if (a := old.get(name, gone))[0] is not (b := new.get(name, gone))[0] or a[1] != b[1]
    ),
    same_classes=classes == old_classes,
    children=sorted(children ^ old_children),
    same_state=state() == old_state,
    packages=[
        item for item in mmengine.config.utils.MODULE2PACKAGE.items()
        if item not in old['mmengine.config.utils.MODULE2PACKAGE'][1].items()
    ],
    allowed=sorted(allowed() ^ old_allowed),
    loads=[old_loads, loads()],
)))
"""


def run(script: str, folder, *arguments: str):
    """Run a script in a fresh interpreter away from the repository; what it prints last."""
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', script, *arguments],
        cwd=folder, env={**environment, 'OMP_NUM_THREADS': '1'}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize('scope', ['mmpose', 'mmdet'])
def test_names_are_found_without_custom_imports(scope, tmp_path):
    names = [
        'SkippedImagesHook', 'PrepareDataHook', 'BottomupVisualizationHook',
        'MeshVisualizationHook', 'FreezeHook', 'SpatialWarmupHook', 'BFloat16OptimWrapper',
        'HSJPPrecision', 'JigCluAccuracy', 'MAEExplainedVariance', 'PartIoU', 'DensePoseAccuracy',
        'ViewRetrieval', 'PCKh', 'LSPPCK', 'ColorAugmentation', 'PatchAugmentation',
        'MakeViews', 'BottomupResize', 'TopdownShearAffine', 'TopdownPyramid',
        'TopdownDenseAffine', 'PersonCropDataset', 'PartMaskDataset', 'DensePoseDataset',
        'PretextInit', 'GroupingLoss', 'PartBranchHourglass', 'HSJPHead', 'HSJP',
        'JigCluHead', 'JigClu', 'PartSegmentationHead', 'PartSegmentation', 'DensePoseHead',
        'DensePose',
    ]  # fmt: skip
    assert run(BUILD, tmp_path, scope) == [['hsjp_mm', name] for name in names for _ in range(2)]


@pytest.mark.slow
def test_stock_parts_stay_as_they_are(tmp_path):
    found = run(COMPARE, tmp_path)
    assert found['number'] > 100_000
    assert found['same_classes']
    assert found['same_state']
    # one table under two names, which other modules import too, and torch's list of allowed classes
    tables = {'MODULE2PACKAGE', 'PKG2PROJECT'}
    if CAN_BE_TOLD:
        tables.add('_marked_safe_globals_set')
    assert {name.split('.')[-1] for name in found['differing']} == tables
    assert found['packages'] == [['hsjp_mm', 'hsjp_mm.version']]
    assert found['children']
    # codecs have no root in MMEngine
    roots = r'(mmengine::.+|mmpose::KEYPOINT_CODECS)/hsjp_mm'
    assert all(re.fullmatch(roots, child) for child in found['children'])
    if CAN_BE_TOLD:
        assert found['allowed'] == ALLOWED
        assert found['loads'] == [['UnpicklingError'] * 2, [None, 'UnpicklingError']]
    else:
        assert found['allowed'] == []
        assert found['loads'] == [[None, None]] * 2  # it unpickles anything, as without hsjp_mm


@pytest.mark.parametrize(
    ('registry', 'name'),
    [
        ('LOG_PROCESSORS', 'LogProcessor'),
        ('LOOPS', 'IterBasedTrainLoop'),
        ('OPTIM_WRAPPERS', 'AmpOptimWrapper'),
        ('OPTIMIZERS', 'Adam'),
        ('PARAM_SCHEDULERS', 'MultiStepLR'),
        ('VISBACKENDS', 'LocalVisBackend'),
        ('VISUALIZERS', 'PoseLocalVisualizer'),
    ],
)
def test_what_a_base_of_ours_names_is_found_in_our_scope(registry, name):
    """MMEngine gives the parts of a ``hsjp_mm::`` base that scope, and warns of one without it."""
    import mmengine.registry as roots
    import mmpose.visualization  # noqa: F401

    import hsjp_mm.registry  # noqa: F401

    with getattr(roots, registry).switch_scope_and_registry('hsjp_mm') as found:
        assert found.scope == 'hsjp_mm'
        assert found.get(name).__name__ == name
