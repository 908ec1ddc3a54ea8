"""Made-up bodies in SMPL's layout: random numbers, with nothing of SMPL in them."""

import numpy as np

TREE = (-1, 0, 0, 1, 1, 4, 2)


def made_up_body(
    vertices: int = 30, parents=TREE, shapes: int = 4, correctives: bool = True, seed: int = 0
) -> dict[str, np.ndarray]:
    """The arrays of a body by SMPL's keys, in single precision as in its files."""
    rng = np.random.default_rng(seed)
    joints = len(parents)
    weights = rng.random((vertices, joints)) * (rng.random((vertices, joints)) < 0.5)
    weights[:, 0] += 0.01
    regressor = rng.random((joints, vertices)) * (rng.random((joints, vertices)) < 0.2) + 1e-3
    template = rng.normal(size=(vertices, 3)) * [0.4, 0.4, 0.2]
    pose = 0.01 * rng.normal(size=(vertices, 3, 9 * (joints - 1)))
    content = {
        'v_template': template,
        'shapedirs': 0.02 * rng.normal(size=(vertices, 3, shapes)),
        'posedirs': pose if correctives else pose[..., :0],
        'weights': weights / weights.sum(axis=1, keepdims=True),
        'J_regressor': regressor / regressor.sum(axis=1, keepdims=True),
    }
    content = {key: array.astype(np.float32) for key, array in content.items()}
    table = np.stack([np.array(parents) % 2**32, np.arange(joints)]).astype(np.uint32)
    faces = rng.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32)
    return {**content, 'kintree_table': table, 'f': faces}
