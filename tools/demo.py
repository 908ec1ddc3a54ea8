"""The main job in small: pretrain without labels, fine-tune from scratch and from that, report."""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from mmengine.utils import track_iter_progress

from hsjp_mm.datasets.toy import render
from hsjp_mm.visualization.poses import draw_poses
from hsjp_mm.visualization.report import Run, measured, read_scalars, write_report

ROOT = Path(__file__).resolve().parent.parent
TITLES = {'hsjp': 'Heatmap-Style Jigsaw Puzzles', 'jigclu': 'Jigsaw Clustering'}
CONFIGS = {
    'hsjp': 'configs/demo/hsjp_hrnet-tiny_1xb32-1000i_toy-96x96.py',
    'jigclu': 'configs/demo/jigclu_hrnet-tiny_1xb32-1000i_toy-96x96.py',
    'scratch': 'configs/demo/td-hm_hrnet-tiny_scratch-1xb16-400i_toy-128x96.py',
    'hsjp-pre': 'configs/demo/td-hm_hrnet-tiny_hsjp-pre-1xb16-400i_toy-128x96.py',
    'jigclu-pre': 'configs/demo/td-hm_hrnet-tiny_jigclu-pre-1xb16-400i_toy-128x96.py',
}
WORTH_SHOWING = re.compile(r'Iter\((train|val)\)|backbone: |skipped|Error')
LESS = re.compile(
    r'^.*mmengine - (INFO - )?|\s+(coco/A[PR] [^:]+|coco/AR|\w*time|\w+_chance|loss): [\d.-]+'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pretext', choices=[*TITLES], default='hsjp', help='what pretrains')
    parser.add_argument(
        '--data',
        help='a folder with annotations/person_keypoints_{train,val}2017.json and images in '
        'train2017/ and val2017/; by default persons are rendered',
    )
    parser.add_argument('--out', default='demo', help='folder of runs and report')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='for every training')
    return parser.parse_args()


def data_options(root: str, suffix: str) -> list[str]:
    """Point a demo config to a data set in COCO's layout."""
    options = []
    for split in ('train', 'val'):
        dataset = f'{split}_dataloader.dataset'
        options += [
            f'{dataset}.data_root={root}',
            f'{dataset}.ann_file=annotations/person_keypoints_{split}{suffix}.json',
            f'{dataset}.data_prefix.img={split}{suffix}/',
        ]
    return options


def train(name: str, out: Path, options: list[str]) -> Run:
    """Run tools/train.py, show its progress, and read what it logged."""
    work_dir = out / name
    command = [
        'python', 'tools/train.py', CONFIGS[name], '--work-dir', str(work_dir),
        '--cfg-options', *options,
    ]  # fmt: skip
    print(f'\n$ {shlex.join(command)}', flush=True)
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if WORTH_SHOWING.search(line):
            print(LESS.sub('', line.rstrip()), flush=True)
    if process.wait():
        sys.exit(f'{"".join(lines[-30:])}\n{name} failed')
    notes = [line[line.index('backbone: ') :].rstrip() for line in lines if 'backbone: ' in line]
    return Run(name, *read_scalars(work_dir), time.time() - start, shlex.join(command), notes)


def newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime)


def board_pictures(work_dir: Path) -> list[tuple[str, np.ndarray]]:
    """Read the boards of the first and the last evaluation of a run."""
    folder = newest(work_dir, '*/vis_data/vis_image')
    drawn = [path.stem.rsplit('_', 1) for path in folder.glob('puzzle_*.png')]
    names = sorted({name for name, _ in drawn})
    steps = sorted({int(step) for _, step in drawn})
    return [
        (f'{name}, {step} iterations', cv2.imread(str(folder / f'{name}_{step}.png'))[..., ::-1])
        for name in names
        for step in dict.fromkeys((steps[0], steps[-1]))
    ]


def main() -> None:
    args = parse_args()
    start = time.time()
    out = Path(args.out).resolve()
    if args.data:
        root, suffix = str(Path(args.data).resolve()), '2017'
    else:
        root, suffix = f'{out}/toy', ''
        if not Path(root, 'annotations').is_dir():
            print(f'rendering people into {root}')
            render(root, num_train=400, num_val=100, progress=track_iter_progress)
    val_file = f'{root}/annotations/person_keypoints_val{suffix}.json'
    options = [*data_options(root, suffix), *args.cfg_options]

    os.chdir(ROOT)
    pretext = train(args.pretext, out, options)
    weights = newest(out / args.pretext, 'iter_*.pth')
    options.append(f'val_evaluator.ann_file={val_file}')
    runs = [
        train('scratch', out, options),
        train(
            f'{args.pretext}-pre', out, [*options, f'model.backbone.init_cfg.checkpoint={weights}']
        ),
    ]
    poses = []
    for run in runs:
        picture = draw_poses(
            CONFIGS[run.name],
            str(newest(out / run.name, 'iter_*.pth')),
            val_file,
            f'{root}/val{suffix}',
        )
        poses.append((run.name, picture))
    report = out / 'report.html'
    title = f'{TITLES[args.pretext]}: pretraining and fine-tuning'
    write_report(report, title, pretext, runs, board_pictures(out / args.pretext), poses)

    print()
    for label, value, chance in measured(pretext):
        print(f'{label}: {value}' + (f' (chance {chance})' if chance else ''))
    for run in runs:
        print(f'AP, {run.name}: {run.val[-1]["coco/AP"]:.3f}')
    print(f'{time.time() - start:.0f} s in all; report: {report}')


if __name__ == '__main__':
    main()
