"""Metadata of hsjp_mm. Imports neither torch nor the package itself."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r"__version__ = '(.+)'", (ROOT / 'hsjp_mm/version.py').read_text())[1]


setup(
    name='hsjp_mm',
    version=VERSION,
    description='Pretraining without labels, HigherHRNet, PBN and body meshes for MMPose 1.x',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    packages=find_packages(include=['hsjp_mm', 'hsjp_mm.*']),
    # .mim holds links to configs, tools and model-index.yml, which mim and `hsjp_mm::` look for,
    # and to pyproject.toml, whose pinned versions the doctor prints
    package_data={
        'hsjp_mm': [
            'py.typed',
            '.mim/configs/**/*',
            '.mim/tools/*.py',
            '.mim/*.yml',
            '.mim/*.toml',
        ],
        'hsjp_mm.models.body_models': ['free_body.npz'],
        'hsjp_mm.visualization': ['mesh_viewer.js'],
    },
    entry_points={'console_scripts': ['hsjp-mm = hsjp_mm.cli:main']},
    exclude_package_data={'': ['*.pyc']},
    python_requires='>=3.10,<3.13',
    install_requires=[
        'torch>=2.1',
        'torchvision',
        'numpy<2',
        'setuptools<81',
        'mmengine==0.10.7',
        'mmcv==2.1.0',
        'mmdet==3.3.0',
        'mmpose==1.3.2',
        'xtcocotools==1.14.3',
        'pycocotools',
        'safetensors',
        'scipy',
        'msgspec',
    ],
    # analysis: groups of keypoints (tools/part_groups.py), MPII's file of which joints are visible
    # mim: `mim train hsjp_mm`; segments: those of DetCon, by Felzenszwalb's method
    # store: crops in LMDB files, `hsjp-mm store`
    # vit: backbones of MMPretrain, such as ViT-S
    extras_require={
        'analysis': ['scikit-learn', 'h5py'],
        'mim': ['openmim==0.3.9', 'pandas<3', 'pip'],
        'segments': ['scikit-image'],
        'store': ['lmdb'],
        'vit': ['mmpretrain==1.2.0'],
    },
)
