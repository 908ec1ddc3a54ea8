"""Fine-tunings as a table of comma-separated values, for figures and statistics of your own."""

import csv
from collections.abc import Sequence
from pathlib import Path

from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.utils.files import written_whole

COLUMNS = ('init', 'labels', 'seed', 'images')


def write_runs(path: str | Path, runs: Sequence[FineTuning]) -> None:
    """Write what runs came to: a row for each evaluation, in the order of training.

    Columns are the initialisation, the share of the labels, the seed, the images that had been
    seen, the measure that is compared, and the others, which only the evaluation at the end has.

    Args:
        path: The file; its folder is made.
        runs: Of one measure.
    """
    others = sorted({key for run in runs for key in run.others})
    with written_whole(path) as new, new.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, runs[0].metric, *others])
        for run in runs:
            for images, value in run.curve:
                ended = images == run.images
                writer.writerow(
                    [run.init, run.fraction, run.seed, images, value]
                    + [run.others.get(key, '') if ended else '' for key in others]
                )
