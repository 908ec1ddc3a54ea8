"""What would become of a data set, told from a file like those of labelling tools."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from hsjp_mm.analysis import data_check
from hsjp_mm.analysis.data_check import DAMAGED, check_data
from hsjp_mm.datasets.coco_files import read_coco
from hsjp_mm.datasets.subset_files import labelled_persons
from hsjp_mm.visualization.data_check import contact_sheet


@pytest.fixture
def export(tmp_path):
    """Six images, four sound, and a labelling tool's export of four keypoints without extras."""
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.RandomState(0)
    for i in range(1, 5):
        cv2.imwrite(str(folder / f'{i}.png'), rng.randint(0, 256, (40, 60, 3), dtype=np.uint8))
    shutil.copy(folder / '1.png', folder / '5.png')
    (folder / '6.png').write_bytes((folder / '1.png').read_bytes()[:300])
    cv2.imwrite(str(folder / 'spare.png'), np.zeros((9, 9, 3), np.uint8))
    turned = Image.fromarray(rng.randint(0, 256, (60, 40, 3), dtype=np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / '8.jpg', exif=exif)  # 40 by 60 as it is stored, 60 by 40 as it is read
    names = ['1.png', '2.png', '3.png', '4.png', '5.png', '6.png', 'gone.png', '8.jpg']
    images = [
        {'id': i, 'file_name': name, 'width': 60, 'height': 40} for i, name in enumerate(names, 1)
    ]
    images[3]['width'] = 66
    images[7].update(width=40, height=60)
    seen, unseen = [5, 5, 2] * 4, [0, 0, 0] * 4
    people = [
        dict(id=1, image_id=1, bbox=[1, 1, 20, 30], keypoints=seen),
        dict(id=2, image_id=2, bbox=[1, 1, 20, 30], keypoints=unseen),
        dict(id=3, image_id=2, bbox=[0, 0, 0, 0], keypoints=unseen),
    ]
    for person in people:
        person.update(category_id=1, area=600, iscrowd=0)
    content = {
        'images': images,
        'annotations': people,
        'categories': [{'id': 1, 'name': 'fish', 'keypoints': ['tip', 'left', 'right', 'tail']}],
    }
    return content, tmp_path / 'export.json', folder


def check(export, **changes):
    content, path, folder = export
    path.write_text(json.dumps({**content, **changes}))
    return check_data(path, folder)


def test_what_is_said_of_the_images(export):
    found = check(export)
    images = '\n'.join(found.sections['Images'])
    assert images.startswith('6 of 8 can be read')
    for said in (
        '1 of 8 do not exist: gone.png',
        f'1 of 8 {DAMAGED}: 6.png',
        '1 of 8 have another size than the file says; pretraining skips them: 4.png (66x40, is ',
        '1 photographs are there more than once: 1.png = 5.png',
        '1 are turned by their EXIF orientation and annotated as they are stored',
        '1 images of the folder are not in the file',
        '6 have no annotation',
    ):
        assert said in images
    assert set(found.paths) == {1, 2, 3, 4, 5, 8}


def test_what_is_said_of_boxes_and_persons(export):
    found = check(export)
    (crops,) = found.sections['Pretraining on boxes (hsjp_mm.PersonCropDataset)']
    assert crops == "category_names=['fish']: 2 boxes are used; left out: 1 below min_size"
    pose = '\n'.join(found.sections['Pose estimation (MMPose data sets and CocoMetric)'])
    assert '4 keypoints: x, y and visibility' in pose
    assert (
        '1 persons have labelled keypoints and a box, and are used; not used are 2 without' in pose
    )
    assert "3 of 3 annotations have no 'num_keypoints' (MMPose's CocoMetric ends in" in pose
    assert "no 'area'" not in pose and "no 'iscrowd'" not in pose
    uses = {key: [use for *_, use in boxes] for key, boxes in found.boxes.items()}
    assert uses == {1: ['pose'], 2: ['crops', 'nothing']}


def test_what_would_fail(export):
    content, _, _ = export
    people = [{**person} for person in content['annotations']]
    people[1]['keypoints'] = [1, 2, 2]
    assert any('keypoints=[1, 2, 2] must be' in text for text in check_problems(export, people))
    people[1].update(keypoints=[], bbox=[1, 2, 3])
    problems = check_problems(export, people)
    assert any('fish: fails: ' in text and 'bbox=[1, 2, 3] must be' in text for text in problems)
    assert any(text.startswith('1 of 3 annotations have empty keypoints') for text in problems)
    images = [{**image} for image in content['images']]
    for image in images:
        del image['width']
    found = check(export, images=images)
    assert any(text.startswith('6 of 8 have no width and height') for text in found.problems)
    assert any('training: fails: ' in text and 'needs width' in text for text in found.problems)


def test_numbers_that_are_none_are_told_and_not_drawn(export):
    content, _, _ = export
    people = [{**person} for person in content['annotations']]
    people[0]['keypoints'] = [float('nan'), *people[0]['keypoints'][1:]]
    people[1]['bbox'] = [1e12, 2, 1e12, 4]
    found = check(export, annotations=people)
    told = [text for text in found.problems if 'no finite numbers' in text]
    assert told == [
        f'1 annotations have a box or keypoints that are no finite numbers, ids: {people[0]["id"]}'
    ]
    assert contact_sheet(found, 8).any()


def test_categories_without_a_box_are_told_without_a_look_at_the_images(export, monkeypatch):
    content, _, _ = export
    built = []
    crops = data_check._Crops
    monkeypatch.setattr(
        data_check, '_Crops', lambda *given, **options: built.append(1) or crops(*given, **options)
    )
    categories = [*content['categories'], *({'id': 50 + i, 'name': f'no {i}'} for i in range(9))]
    found = check(export, categories=categories)
    assert len([text for text in found.problems if text.endswith(': no box')]) >= 9
    assert len(built) <= len(content['categories'])


def check_problems(export, people) -> list[str]:
    return check(export, annotations=people).problems


def test_keypoints_that_are_not_as_many_as_their_names(export):
    found = check(export, categories=[{'id': 1, 'name': 'fish', 'keypoints': ['tip', 'tail']}])
    assert any('2 keypoints are named by category 1, but 4 given' in p for p in found.problems)


def test_boxes_alone_and_a_sound_file(export, tiny_coco):
    content, _, _ = export
    boxes = [{k: v for k, v in p.items() if k != 'keypoints'} for p in content['annotations']]
    found = check(export, annotations=boxes)
    assert found.sections['Pose estimation (MMPose data sets and CocoMetric)'] == [
        'no annotation has keypoints: of use for pretraining alone'
    ]
    with pytest.raises(FileNotFoundError, match=r"folder='.*none' does not exist"):
        check_data(tiny_coco / 'boxes.json', tiny_coco / 'none')
    sound = check_data(tiny_coco / 'boxes.json', tiny_coco / 'images')
    assert [p for p in sound.problems if 'segmentation' not in p] == []


def test_as_many_persons_are_used_as_mmpose_takes(export):
    """The rules of its data sets, case by case; what they take is what LabelSubset counts."""
    seen, box = [5, 5, 2] * 4, [1, 1, 20, 30]
    cases = [
        dict(),
        dict(bbox=[1, 1, 0, 30]),  # no area
        dict(bbox=[70, 1, 20, 30]),  # beside the image, of 60 by 40 pixels
        dict(num_keypoints=0),
        dict(image_id=99),
        dict(iscrowd=1),
        dict(keypoints=[5, 5, 0] * 4, num_keypoints=4),
        dict(keypoints=[0, 0, 0] * 4),
    ]
    persons = [
        dict(
            dict(id=i, image_id=1, category_id=1, area=600, iscrowd=0, bbox=box, keypoints=seen),
            **case,
        )
        for i, case in enumerate(cases)
    ]
    _, path, _ = export
    (lines,) = [
        line
        for line in check(export, annotations=persons).sections[data_check.POSE]
        if 'are used' in line
    ]
    taken = labelled_persons(read_coco(path))
    assert [one['id'] for one in taken] == [0, 6]
    assert lines.startswith('2 persons have labelled keypoints and a box, and are used')
    assert '5 without one of them or with a box without an area in the image' in lines
    assert '1 crowds' in lines
