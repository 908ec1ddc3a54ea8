"""Child registries of MMEngine's roots: ``hsjp_mm.X`` is found from every scope.

Imports registries and nothing else, for MMEngine turns an ImportError in here into
"X is not in the registry".
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import (
    LOG_PROCESSORS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
    Registry,
)
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmpose.registry import KEYPOINT_CODECS as MMPOSE_KEYPOINT_CODECS


class _Child(Registry):
    """Knows MMPose's names too, for MMEngine builds what an ``hsjp_mm::`` base holds in here.

    It gives such a base's parts ``_scope_='hsjp_mm'``, whatever the base's default_scope is.
    """

    def get(self, key: str) -> type | None:
        self.import_from_location()
        if '.' in key or key in self.module_dict:
            return super().get(key)
        return self.root.get(f'mmpose.{key}')


def _child(parent: Registry, *modules: str) -> Registry:
    locations = [f'hsjp_mm.{module}' for module in modules]
    return _Child(parent.name, parent=parent, scope='hsjp_mm', locations=locations)


DATASETS = _child(
    MMENGINE_DATASETS,
    'datasets.densepose',
    'datasets.label_subset',
    'datasets.lsp',
    'datasets.mesh',
    'datasets.part_masks',
    'datasets.person_crops',
)
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'datasets.transforms')
MODELS = _child(MMENGINE_MODELS, 'models')
METRICS = _child(MMENGINE_METRICS, 'evaluation')
HOOKS = _child(MMENGINE_HOOKS, 'engine.hooks')
LOOPS = _child(MMENGINE_LOOPS, 'engine.overlap_loops')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'engine.bfloat16_optim_wrapper')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'engine.lars_constructor')
WEIGHT_INITIALIZERS = _child(MMENGINE_WEIGHT_INITIALIZERS, 'checkpoint')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'datasets.samplers')
KEYPOINT_CODECS = _child(MMPOSE_KEYPOINT_CODECS, 'codecs')  # MMEngine has no root of it

# Without classes of ours: these keep MMEngine from warning of a scope that it cannot find.
for _root in (
    LOG_PROCESSORS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
):
    _child(_root, 'registry')
