"""Write the labels of a data set of bodies in the one format that hsjp_mm.MeshDataset reads.

    hsjp-mm convert mesh h36m Human36M/annotations --split train --out mesh/h36m_train.npz
    hsjp-mm convert mesh neuralannot person_keypoints_train2017.json
        --labels MSCOCO_train_SMPL_NeuralAnnot.json --out mesh/coco_train.npz
    hsjp-mm convert mesh threedpw 3DPW --split test --out mesh/3dpw_test.npz

What the source of each kind is:
    h36m         folder of Human36M_subject*_data.json and the files beside it
    neuralannot  COCO's JSON of keypoints; --labels is the JSON of the fits
    eft          JSON of fits, COCO2014-All-ver01.json for one
    threedpw     folder of sequenceFiles and imageFiles
    mupots       folder of TS1 to TS20
    agora        folder of AGORA_train_SMPL.json, smpl_params_cam and cam_params
    surreal      folder of train, val and test with runs (SURREAL/data/cmu)
    spin_npz     .npz of SPIN's code
    humandata    .npz of MMHuman3D

It says how many samples it took, what it left out and why, and refuses labels of which axes, sides
or units are mixed up. Each data set has its own licence, and its labels keep it.
"""

import argparse
import importlib
import sys
from functools import partial

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.files import existing_path, writable_file, writable_folder

OPTIONS = {
    'h36m': ('split', 'every', 'body'),
    'neuralannot': ('labels',),
    'eft': (),
    'threedpw': ('split',),
    'mupots': ('joints',),
    'agora': ('split', 'body'),
    'surreal': ('split', 'every', 'frames', 'body'),
    'spin_npz': (),
    'humandata': (),
}
"""What each converter takes besides the source."""


def arguments() -> Parser:
    parser = Parser(__doc__, {'file=': '--body='})
    parser.add_argument('kind', choices=OPTIONS, help='which data set')
    parser.add_input('source', existing_path, help='its file or folder')
    parser.add_out('name.npz', check=partial(writable_file, suffix='.npz'))
    parser.add_argument('--split', help='train, test …, as the data set has them')
    parser.add_argument('--labels', help='JSON of the fits (neuralannot)')
    parser.add_argument('--every', type=int, help='take every how many frames (h36m, surreal)')
    parser.add_output(
        '--frames', writable_folder, help='folder to decode the videos into (surreal)'
    )
    parser.add_argument('--joints', help='universal or metric (mupots)')
    parser.add_argument('--body', help="folder of SMPL's files (h36m, agora, surreal)")
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    allowed = OPTIONS[args.kind]
    every = sorted({option for options in OPTIONS.values() for option in options})
    given = {name: getattr(args, name) for name in every if getattr(args, name) is not None}
    if unknown := sorted(given.keys() - set(allowed)):
        taken = ', '.join(f'--{name}' for name in allowed) or 'none'
        raise ValueError(f'--{unknown[0]} is not for {args.kind}, which takes {taken}')
    if args.kind == 'neuralannot' and 'labels' not in given:
        raise ValueError('--labels is needed for neuralannot, the JSON of the fits')
    if 'body' in given:
        from hsjp_mm.models.body_models.by_gender import BodiesByGender

        given['bodies'] = BodiesByGender(given.pop('body'))
    converter = importlib.import_module(f'hsjp_mm.datasets.converters.{args.kind}')
    print(converter.convert(args.source, args.out, **given))


if __name__ == '__main__':
    sys.exit(main())
