"""From annotations and images to lines of text and a contact sheet."""

import runpy

import cv2

from tests.datasets.mesh_labels import write_made_up
from tests.helpers import ROOT

main = runpy.run_path(str(ROOT / 'tools/check_data.py'))['main']


def test_lines_and_the_contact_sheet(tiny_coco, tmp_path, capsys):
    out = tmp_path / 'new'
    status = main([str(tiny_coco / 'boxes.json'), str(tiny_coco / 'images'), '--out', str(out)])
    printed = capsys.readouterr().out
    assert status == 1 and "have no 'segmentation'" in printed and printed.endswith('1 problem\n')
    assert (
        "category_names=['person']: 6 boxes are used; left out: 1 crowd regions, 2 below" in printed
    )
    assert "category_names=['dog']: 1 boxes are used" in printed
    assert cv2.imread(str(out / 'contact_sheet.png')).std() > 20


def test_mistakes(tiny_coco, tmp_path, capsys):
    assert main([str(tmp_path / 'no.json'), str(tiny_coco / 'images')]) == 2
    assert main([str(tiny_coco / 'boxes.json'), str(tmp_path / 'none')]) == 2
    said = capsys.readouterr().err
    assert "ANNOTATIONS='" in said and "IMAGES='" in said and 'none' in said


def test_labels_of_meshes(tmp_path, capsys):
    labels = write_made_up(tmp_path)
    assert main([str(labels), str(tmp_path), '--out', str(tmp_path / 'new')]) == 1
    said = capsys.readouterr().out
    assert 'Labels\n  6 samples in 3 images of 2 sequences\n' in said
    assert '3 of 3 can be read' in said
    assert cv2.imread(str(tmp_path / 'new/contact_sheet.png')).std() > 20
