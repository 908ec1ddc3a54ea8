"""Recover the bodies of persons in pictures: one PNG a picture, and meshes on demand.

    hsjp-mm draw-mesh CONFIG CHECKPOINT photo.jpg folder --out DIR
    hsjp-mm detect DETECTOR_CONFIG DETECTOR folder --out boxes.json
    hsjp-mm draw-mesh CONFIG CHECKPOINT folder --boxes boxes.json --meshes .obj --out DIR

Without --boxes the whole of each picture is one person. The camera is guessed, unless --focal says
its focal length in pixels.
"""

import argparse
import sys

from hsjp_mm.cli import Parser, command
from hsjp_mm.utils.configs import config_file
from hsjp_mm.utils.files import checkpoint_file, existing_file, existing_path, writable_folder

ENDINGS = ('.obj', '.ply', '.gif', '.html')


def arguments() -> Parser:
    parser = Parser(__doc__, {'bbox_file=': '--boxes='})
    parser.add_input('config', config_file, help='a config whose model is a mesh regressor')
    parser.add_input('checkpoint', checkpoint_file, help='its weights')
    parser.add_input(
        'images', existing_path, nargs='+', help='files, or folders with their subfolders'
    )
    parser.add_input(
        '--boxes', existing_file, help='boxes of the persons, written by hsjp-mm detect'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.5, help='lowest score of a box (%(default)s)'
    )
    parser.add_argument('--focal', type=float, help='focal length in pixels of the pictures')
    parser.add_argument('--meshes', choices=ENDINGS, help='also write each body as such a file')
    parser.add_out('folder of the pictures', 'meshes', writable_folder)
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (%(default)s)')
    parser.add_cfg_options()
    return parser


@command(arguments)
def main(args: argparse.Namespace) -> None:
    import numpy as np
    from mmengine.registry import MODELS, init_default_scope
    from mmpose.apis import inference_topdown

    from hsjp_mm.checkpoint import load_model
    from hsjp_mm.datasets.detected_boxes import read_boxes
    from hsjp_mm.datasets.image_files import named_images, read_image, write_picture
    from hsjp_mm.models.pose_estimators.mesh_estimator import BodyEstimator
    from hsjp_mm.utils.configs import read_config, required
    from hsjp_mm.utils.devices import require_device
    from hsjp_mm.utils.progress import track
    from hsjp_mm.visualization.mesh_files import WRITERS
    from hsjp_mm.visualization.mesh_predictions import draw_bodies, placed_vertices
    from hsjp_mm.visualization.picture_files import picture_paths

    if args.focal is not None and not args.focal > 0:
        raise ValueError(f'focal={args.focal} must be above 0 pixels')
    folder, names = named_images(args.images)
    paths = picture_paths(folder, names, args.out)
    require_device(args.device)
    boxes = read_boxes(args.boxes, names, args.score_thr) if args.boxes else {}
    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    model = MODELS.build(required(cfg, 'model'))
    if not isinstance(model, BodyEstimator):
        raise ValueError(
            f'config={args.config!r} must have a mesh regressor as model, hsjp_mm.MeshEstimator or '
            'hsjp_mm.I2LMeshNet'
        )
    model.cfg = cfg
    required(cfg, 'test_dataloader.dataset.pipeline')
    load_model(model, args.checkpoint)
    model.to(args.device).eval()
    faces = model.body.faces.cpu().numpy()
    for name, path in track(list(zip(names, paths, strict=True)), 'images'):
        image = read_image(folder / name)
        height, width = image.shape[:2]
        found = boxes.get(name, np.array([[0, 0, width, height]], np.float32))
        model.dataset_meta = {}
        if args.focal is not None:
            camera = [args.focal, args.focal, width / 2, height / 2]
            model.dataset_meta['camera'] = np.array(camera, np.float32)
        # without boxes the stock function would take the whole picture for a person
        samples = inference_topdown(model, image, found) if len(found) else []
        write_picture(path, draw_bodies(image, samples, faces))
        print(f'{path}: {len(samples)} persons')
        for number, sample in enumerate(samples if args.meshes else []):
            file = path.with_name(f'{path.stem}_{number}{args.meshes}')
            WRITERS[args.meshes](file, placed_vertices(sample), faces)


if __name__ == '__main__':
    sys.exit(main())
