"""Bodies as files for other programs and for the browser: .obj, .ply, .gif, .html.

Letters: V vertices, F triangles.
"""

import base64
import html
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hsjp_mm.visualization.meshes import turntable
from hsjp_mm.visualization.page import page

UPRIGHT = np.array([1.0, -1, -1])
"""Other programs have y up and z towards who looks; cameras have y down and z forward."""
VIEWER = Path(__file__).with_name('mesh_viewer.js')


def write_obj(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a mesh as Wavefront's .obj, in meters, y up.

    Args:
        path: Of the file.
        vertices: (V, 3) in the camera's frame.
        faces: (F, 3).
    """
    lines = [f'v {x:.6f} {y:.6f} {z:.6f}' for x, y, z in vertices * UPRIGHT]
    lines += [f'f {a} {b} {c}' for a, b, c in faces + 1]
    Path(path).write_text('\n'.join(lines) + '\n')


def write_ply(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a mesh as Stanford's .ply in its binary form; arguments as of :func:`write_obj`."""
    header = (
        'ply\nformat binary_little_endian 1.0\n'
        f'element vertex {len(vertices)}\n'
        'property float x\nproperty float y\nproperty float z\n'
        f'element face {len(faces)}\n'
        'property list uchar int vertex_indices\nend_header\n'
    )
    corners = np.zeros(len(faces), [('count', 'u1'), ('corners', '<i4', 3)])
    corners['count'], corners['corners'] = 3, faces
    points = (vertices * UPRIGHT).astype('<f4')
    Path(path).write_bytes(header.encode() + points.tobytes() + corners.tobytes())


def write_gif(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a picture in which the body turns; arguments as of :func:`write_obj`."""
    first, *others = (Image.fromarray(picture) for picture in turntable(vertices, faces))
    first.save(path, save_all=True, append_images=others, duration=80, loop=0)


def write_page(
    path: str | Path, vertices: np.ndarray, faces: np.ndarray, title: str = 'Body'
) -> None:
    """Write a page in which the mouse turns the body; it needs no network and no other file.

    Args:
        path: Of the file.
        vertices: (V, 3) in the camera's frame.
        faces: (F, 3).
        title: Of the page.
    """
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    points = ((vertices - middle) * UPRIGHT).astype('<f4')
    data = {'vertices': points, 'faces': faces.astype('<u4')}
    attributes = ' '.join(
        f'data-{key}="{base64.b64encode(array.tobytes()).decode()}"' for key, array in data.items()
    )
    canvas = f'<canvas id="body" aria-label="{html.escape(title)}" {attributes}></canvas>'
    hint = '<p>Drag to turn, scroll to come nearer.</p>'
    style = 'canvas { width: 100%; aspect-ratio: 1; max-width: 40rem; touch-action: none; }'
    script = f'<script>{VIEWER.read_text()}</script>'
    Path(path).write_text(page(title, [canvas, hint, script], style))


WRITERS: dict[str, Callable[[Path, np.ndarray, np.ndarray], None]] = {
    '.obj': write_obj,
    '.ply': write_ply,
    '.gif': write_gif,
    '.html': write_page,
}
"""By the ending of the file's name."""
