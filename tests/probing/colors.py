"""Images of plain colors, a folder for each."""

from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {'blue': (40, 60, 220), 'green': (40, 200, 60), 'red': (210, 50, 40)}


def make_images(folder: Path, colors: dict, number: int, seed: int) -> None:
    """Plain colors with noise, dotted with gray, on images that are not square."""
    rng = np.random.RandomState(seed)
    for name, color in colors.items():
        (folder / name).mkdir(parents=True)
        for index in range(number):
            image = np.array(color) + rng.normal(0, 12, (36, 44, 3))
            top, left = rng.randint(0, 28, 2)
            image[top : top + 8, left : left + 8] = 128
            path = folder / f'{name}/{index}.png'
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
