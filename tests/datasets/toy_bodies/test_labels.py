"""Labels of a person follow from where the body is and from what shows."""

import numpy as np
import pytest

from hsjp_mm.datasets.part_masks import paint
from hsjp_mm.datasets.toy_bodies.labels import (
    NAMES,
    annotation,
    dense_pose,
    keypoint_labels,
    mesh_sample,
    part_map,
    part_masks,
)
from hsjp_mm.datasets.toy_bodies.rendering import render_image
from hsjp_mm.datasets.toy_bodies.scenes import free_body


@pytest.fixture(scope='module')
def images():
    return [render_image(np.random.default_rng(seed), (160, 120), 2) for seed in range(12)]


@pytest.fixture(scope='module')
def people(images):
    return [(r, n) for r in images for n in range(1, len(r.scene.people) + 1)]


def points_of(person):
    points = free_body().keypoints(person.vertices, person.joints, 'coco_17')
    return dict(zip(NAMES, points, strict=True))


def test_a_hidden_keypoint_is_behind_the_surface_and_a_seen_one_near_it(people):
    counts = np.zeros(3, int)
    for rendered, number in people:
        labels = keypoint_labels(rendered, number)
        named = points_of(rendered.scene.people[number - 1])
        for name, (x, y, v) in zip(NAMES, labels, strict=True):
            counts[int(v)] += 1
            if not v:
                assert x == y == 0
                continue
            column, row = round(x), round(y)
            gap = named[name][2] - rendered.depths[row, column]
            if v == 2:
                assert rendered.owner[row, column] == number
                assert gap < 0.25
            elif rendered.owner[row, column] == number:
                assert gap > 0.03
    assert counts[2] > counts[1] > 20


def test_from_behind_the_face_is_hidden(people):
    seen = {True: [], False: []}
    for rendered, number in people:
        person = rendered.scene.people[number - 1]
        labels = dict(zip(NAMES, keypoint_labels(rendered, number), strict=True))
        head = points_of(person)['nose'] - person.joints[15]
        if abs(head[2]) > 0.08 and labels['nose'][2]:
            seen[bool(head[2] < 0)].append(labels['nose'][2] == 2)
    assert not any(seen[False]) and len(seen[False]) > 1
    assert np.mean(seen[True]) > 0.7


def test_part_masks_and_map_say_the_same(people):
    for rendered, number in people:
        parts = part_map(rendered, number)
        np.testing.assert_array_equal(paint(part_masks(parts)['part_masks']), parts)
        assert ((parts > 0) == (rendered.owner == number)).all()
        assert parts.max() <= 24


def test_densepose_points_lie_on_the_person_in_the_masks(people):
    rendered, number = people[0]
    parts = part_map(rendered, number)
    bbox = annotation(np.zeros((17, 3)), rendered.owner == number)['bbox']
    dense = dense_pose(np.random.default_rng(0), rendered, parts, bbox)
    labels = paint([mask or None for mask in dense['dp_masks']])
    assert labels.shape == (256, 256)
    x, y = (np.array(dense[key]) for key in ('dp_x', 'dp_y'))
    assert len(x) == len(dense['dp_I']) == len(dense['dp_U']) > 50
    columns, rows = (
        np.rint(low + (values + 0.5) * side / 256 - 0.5).astype(int)
        for low, values, side in zip(bbox[:2], (x, y), bbox[2:], strict=True)
    )
    assert (parts[rows, columns] > 0).all()
    assert (labels[np.rint(y).astype(int), np.rint(x).astype(int)] > 0).mean() > 0.95


def test_a_mesh_sample_projects_onto_itself(people):
    for rendered, number in people:
        sample = mesh_sample(rendered, number, [1, 2, 30, 40])
        joints, camera = sample['joints'][:, :3], sample['camera']
        pixels = joints[:, :2] / joints[:, 2:] * camera[:2] + camera[2:]
        np.testing.assert_allclose(pixels, sample['keypoints'][:, :2], atol=1e-2)
        np.testing.assert_array_equal(sample['box'], [1, 2, 31, 42])
        np.testing.assert_array_equal(sample['image_size'], [160, 120])


def test_a_covered_keypoint_is_labelled_hidden():
    label = np.zeros((17, 3))
    label[5], label[6], label[7] = (3, 2, 2), (6, 2, 2), (4, 4, 1)
    visible = np.zeros((8, 10), bool)
    visible[1:6, 2:5] = True
    person = annotation(label, visible)
    assert person['bbox'] == [2, 1, 3, 5]
    assert person['area'] == 15
    assert person['num_keypoints'] == 3
    assert [point[2] for point in np.reshape(person['keypoints'], (17, 3))[5:8]] == [2, 1, 1]


def test_a_speck_is_not_part_of_the_person():
    visible = np.zeros((8, 10), bool)
    visible[1:6, 2:5] = True
    visible[7, 9] = True
    person = annotation(np.zeros((17, 3)), visible)
    assert person['bbox'] == [2, 1, 3, 5]
    assert person['area'] == 15
    assert len(person['segmentation']) == 1
