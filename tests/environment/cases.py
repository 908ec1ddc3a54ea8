"""Made-up environments, each with one fault, and what the doctor has to say of it."""

from dataclasses import replace

from hsjp_mm.environment import facts, requirements
from hsjp_mm.environment.facts import Facts
from tests.helpers import ROOT

# of setup.py, not of an installation that may be older
PYTHON, STATED = requirements._read_setup(ROOT / 'setup.py')
RANGES = {'python': PYTHON} | {r.name: r.range for r in STATED if not r.extra}
EXTRAS = [r for r in STATED if r.extra]
VERSIONS = {'python': '3.11.7', 'torch': '2.11.0', 'numpy': '1.26.4', 'setuptools': '80.9.0'}
VERSIONS |= {name: text[2:] for name, text in RANGES.items() if text.startswith('==')}
VERSIONS |= {'opencv-python': '4.11', 'hsjp_mm': '0.1.0', 'mmpretrain': None, 'chumpy': '0.70'}
VERSIONS |= {name: '1.0' for name in RANGES if name not in VERSIONS}
OPTIONAL = ('h5py', 'lmdb', 'scikit-learn', 'scikit-image', 'openmim', 'pandas', 'pip')
VERSIONS |= dict.fromkeys(OPTIONAL)
HEALTHY = Facts(
    versions=VERSIONS,
    ranges=RANGES,
    extras=EXTRAS,
    errors={
        'mmpretrain': "ModuleNotFoundError: No module named 'mmpretrain'",
        'h5py': "ModuleNotFoundError: No module named 'h5py'",
        'lmdb': "ModuleNotFoundError: No module named 'lmdb'",
        'scikit-learn': "ModuleNotFoundError: No module named 'sklearn'",
        'scikit-image': "ModuleNotFoundError: No module named 'skimage'",
    },
    owners={'mmcv': ['mmcv'], 'mmengine': ['mmengine']},
    package='/site-packages/hsjp_mm',
    mim='/site-packages/hsjp_mm/.mim',
    machine='linux x86_64',
)


def make(versions=None, errors=None, owners=None, **others):
    """Healthy facts with some of them changed."""
    return replace(
        HEALTHY,
        versions=HEALTHY.versions | (versions or {}),
        errors=HEALTHY.errors | (errors or {}),
        owners=HEALTHY.owners | (owners or {}),
        **others,
    )


NUMPY_ABI = 'ValueError: numpy.dtype size changed, may indicate binary incompatibility.'
NO_EXT = "ModuleNotFoundError: No module named 'mmcv._ext'"
UNDEFINED = 'ImportError: /site/mmcv/_ext.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZN3c1'
NMS = 'RuntimeError: operator torchvision::nms does not exist'
BOUND = 'AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4.'
REFUSED = 'RuntimeError: hsjp_mm needs mmcv==2.1.0 (2.2.0 is installed); run `python doctor.py`'

# torch 2.1 on CUDA 12.1, for which there are ready-made wheels of mmcv
WITH_WHEEL = dict(details={'torch': 'built for CUDA 12.1, 1 x A100'})

# what is changed, what the problem must say, and a line of its fix
BREAKING = {
    'numpy 2, xtcocotools wheel': (
        make({'numpy': '2.2.6'}, {'xtcocotools': NUMPY_ABI, 'mmpose': NUMPY_ABI}),
        'numpy 2.2.6 does not fit the compiled part of xtcocotools, mmpose',
        "pip install 'numpy<2'",
    ),
    'numpy 2.3': (
        make({'numpy': '2.3.5'}),
        "numpy 2.3.5 breaks MMPose's own code",
        "pip install 'numpy<2'",
    ),
    'numpy 2.2, xtcocotools built here': (
        make({'numpy': '2.2.6'}),
        'numpy 2.2.6 is outside of numpy<2',
        "pip install 'numpy<2'",
    ),
    'setuptools 82': (
        make({'setuptools': '82.0'}, {'setuptools': "ModuleNotFoundError: No module named "
                                                    "'pkg_resources'"}),
        'setuptools 82.0 has no pkg_resources',
        "pip install 'setuptools<81'",
    ),
    'torchvision of another build': (
        make({'torch': '2.13.0+cpu'}, {'torchvision': NMS, 'mmpose': NMS}),
        'torchvision 1.0 cannot load beside torch 2.13.0+cpu (torchvision, mmpose)',
        'pip install --force-reinstall -c constraints.txt torch torchvision',
    ),
    'checkpoints without hsjp_mm': (
        make(errors={'hsjp_mm': 'SyntaxError: invalid syntax'}),
        'torch 2.11.0 and checkpoints of MMEngine 0.10.7 do not work',
        'Make `import hsjp_mm` work: install it, or see the other problems.',
    ),
    'mmcv without ops': (
        make(errors={'mmcv ops': NO_EXT, 'mmdet': NO_EXT, 'mmpose': NO_EXT}),
        'mmcv 2.1.0 has no compiled ops (mmcv ops, mmdet, mmpose)',
        'pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'mmcv-lite alone': (
        make({'mmcv': None}, {'mmcv ops': NO_EXT}, {'mmcv': ['mmcv-lite']}),
        'mmcv from mmcv-lite has no compiled ops (mmcv ops)',
        'pip uninstall -y mmcv-lite',
    ),
    'mmcv built for another torch': (
        make(errors={'mmcv ops': UNDEFINED, 'mmdet': UNDEFINED}),
        'mmcv 2.1.0 is built for another torch than 2.11.0 (mmcv ops, mmdet)',
        'pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'mmcv built for an older torch': (
        make(errors={'mmcv ops': 'RuntimeError: nms_impl: implementation for device cuda:0 not '
                                 'found.'}),
        'mmcv 2.1.0 is built for another torch than 2.11.0 (mmcv ops)',
        'pip uninstall -y mmcv',
    ),
    'mmcv built for another torch, and there is a wheel': (
        make({'torch': '2.1.2'}, {'mmcv ops': UNDEFINED}, **WITH_WHEEL),
        'mmcv 2.1.0 is built for another torch than 2.1.2 (mmcv ops)',
        'mim install mmcv==2.1.0',
    ),
    'mmcv absent, and there is a wheel': (
        make(
            {'torch': '2.1.2', 'mmcv': None},
            {name: "ModuleNotFoundError: No module named 'mmcv'" for name in ('mmcv', 'mmcv ops')},
            **WITH_WHEEL,
        ),
        'Not installed: mmcv',
        'mim install mmcv==2.1.0',
    ),
    'setuptools 70 with torch 2.1': (
        make({'torch': '2.1.2', 'setuptools': '70.3.0'}, **WITH_WHEEL),
        'setuptools 70.3.0 does not fit torch 2.1.2',
        "pip install 'setuptools>=71,<81'",
    ),
    'GPU that torch does not know': (
        make(details={'torch': f'built for CUDA 12.6, 1 x X1, {facts.OLD_GPU_TORCH}'}),
        'torch 2.11.0 is not built for this GPU',
        'FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    "mmdet's bound": (
        make({'mmcv': '2.2.0'}, {'mmdet': BOUND, 'hsjp_mm': REFUSED}),
        'mmcv 2.2.0 is refused by mmdet',
        'pip uninstall -y mmcv',
    ),
    'two own mmcv': (
        make(owners={'mmcv': ['mmcv', 'mmcv-lite']}),
        'mmcv and mmcv-lite share the folder mmcv',
        'pip uninstall -y mmcv mmcv-lite',
    ),
    'two own mmengine': (
        make(owners={'mmengine': ['mmengine', 'onedl-mmengine']}),
        'mmengine and onedl-mmengine share the folder mmengine',
        'pip install mmengine==0.10.7',
    ),
    'cv2 on a bare machine': (
        make(errors={'opencv-python': 'ImportError: libGL.so.1: cannot open shared object file',
                     'mmcv ops': 'ImportError: libGL.so.1: cannot open shared object file'}),
        'cv2 lacks system libraries (opencv-python, mmcv ops)',
        'apt-get install libgl1 libglib2.0-0',
    ),
    'mmdet too old': (
        make({'mmdet': '3.2.0'}),
        'mmdet 3.2.0 is outside of mmdet==3.3.0',
        'pip install mmdet==3.3.0',
    ),
    'torch too old': (
        make({'torch': '2.0.1'}),
        'torch 2.0.1 is outside of torch>=2.1',
        'Then compile mmcv again, which fits one torch only.',
    ),
    'python too new': (
        make({'python': '3.13.0'}),
        'python 3.13.0 is outside of python>=3.10,<3.13',
        'Make an environment with Python >=3.10,<3.13.',
    ),
    'absent': (
        make({'mmdet': None, 'mmpose': None},
             {'mmdet': "ModuleNotFoundError: No module named 'mmdet'",
              'mmpose': "ModuleNotFoundError: No module named 'mmdet'"}),
        'Not installed: mmdet, mmpose',
        'uv sync',
    ),
    'a dependency of a dependency absent': (
        make(errors={'mmengine': "ModuleNotFoundError: No module named 'addict'"}),
        'mmengine cannot be imported',
        'pip install addict',
    ),
    'an error that nobody knows': (
        make(errors={'mmdet': 'ValueError: odd', 'mmpose': 'ValueError: odd'}),
        'mmdet, mmpose cannot be imported',
        'pip install --force-reinstall --no-deps mmdet==3.3.0',
    ),
}  # fmt: skip

NOTES = {
    'checkpoints': (
        HEALTHY,
        'torch 2.11.0 and checkpoints of MMEngine 0.10.7 work once hsjp_mm is imported',
        "custom_imports = dict(imports=['hsjp_mm'])",
    ),
    'chumpy': (
        make({'chumpy': None}),
        '`pip check` says that mmpose requires chumpy, which is not installed',
        'Nothing.',
    ),
    'editable': (
        make(editable=True),
        '`mim train hsjp_mm ...` finds no config in this installation of hsjp_mm',
        'Write `mim train mmpose PATH/TO/CONFIG`, or install without -e (uv: --no-editable).',
    ),
    'CPU ops beside a GPU': (
        make(details={'mmcv ops': facts.NO_GPU_OPS}),
        'mmcv 2.1.0 has CPU ops only, and there is a GPU',
        'FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'setuptools 70 with torch 2.1, no GPU': (
        make({'torch': '2.1.2', 'setuptools': '70.0.0'}),
        'setuptools 70.0.0 does not fit torch 2.1.2',
        "pip install 'setuptools>=71,<81'",
    ),
    'ops for other GPUs': (
        make(details={'mmcv ops': facts.OLD_GPU_OPS}),
        'mmcv 2.1.0 has ops for other GPUs than this one',
        'FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation mmcv==2.1.0',
    ),
    'optional package of another version': (
        make({'mmpretrain': '1.1.0'}),
        'mmpretrain 1.1.0 is outside of mmpretrain==1.2.0, of the extra vit',
        'pip install mmpretrain==1.2.0',
    ),
    'compiled again by every command': (
        make(compiles_always=True),
        'PYTHONDONTWRITEBYTECODE is set, so that every command compiles all of torch again',
        'unset PYTHONDONTWRITEBYTECODE',
    ),
    'optional package broken': (
        make({'mmpretrain': '1.2.0'}, {'mmpretrain': 'ValueError: odd'}),
        'mmpretrain cannot be imported',
        'pip install --force-reinstall --no-deps mmpretrain==1.2.0',
    ),
}
