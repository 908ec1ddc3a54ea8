"""A made-up annotation file of any size, and what PersonCropDataset needs for it."""

from pathlib import Path

import numpy as np

STEP = 100_000
"""Rows that are drawn at a time."""
IMAGE = '{"id":%d,"file_name":"%012d.jpg","width":640,"height":480}'
BOX = '{"id":%d,"image_id":%d,"category_id":1,"iscrowd":0,"area":%.2f,"bbox":[%.2f,%.2f,%.2f,%.2f]}'


def write_boxes(path: str | Path, num_boxes: int, num_images: int) -> None:
    """Write an annotation file of boxes alone, in order of their images.

    Args:
        path: of the JSON; the image ``000000000000.jpg`` beside it is made too, empty.
        num_boxes: of one category, as many on each image.
        num_images: 640×480 pixels each.
    """
    rng = np.random.default_rng(0)
    Path(path).with_name('000000000000.jpg').touch()
    with open(path, 'w') as file:
        file.write('{"categories":[{"id":1,"name":"person"}],"images":[')
        for start in range(0, num_images, STEP):
            rows = (IMAGE % (i, i) for i in range(start, min(start + STEP, num_images)))
            file.write(',' * (start > 0) + ','.join(rows))
        file.write('],"annotations":[')
        for start in range(0, num_boxes, STEP):
            ids = np.arange(start, min(start + STEP, num_boxes))
            corners, sizes = (rng.uniform(*given, (len(ids), 2)) for given in ((0, 300), (20, 180)))
            columns = ids, ids * num_images // num_boxes, sizes.prod(axis=1), *corners.T, *sizes.T
            file.write(
                ',' * (start > 0) + ','.join(BOX % row for row in zip(*columns, strict=True))
            )
        file.write(']}')
