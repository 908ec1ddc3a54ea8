"""What the README and the documentation tell users to write works as it stands there."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.registry import METRICS, MODELS
from mmpose.structures import PoseDataSample

from tests.helpers import ROOT

README = (ROOT / 'README.md').read_text()
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
READMES = sorted((ROOT / 'configs').rglob('README.md'))


STOCK = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'


def snippets(text: str, language: str = 'python') -> list[str]:
    """The blocks of code of a page."""
    return re.findall(rf'```{language}\n(.*?)```', text, re.S)


def slug(heading: str) -> str:
    return re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')


def run(folder: Path, tool: str, *arguments) -> str:
    """Run a tool in a folder; what it prints."""
    command = [sys.executable, ROOT / 'tools' / tool, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.mark.slow
def test_config_for_a_users_project_trains_and_its_backbone_starts_a_stock_config(
    tmp_path, tiny_coco
):
    config, start = snippets(README)
    assert len(config.splitlines()) <= 15
    (tmp_path / 'mine.py').write_text(config)
    shutil.copytree(tiny_coco, tmp_path / 'data/mine')
    options = [
        'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.interval=1', 'model.input_size=(96,96)',
    ]  # fmt: skip
    printed = run(tmp_path, 'browse_puzzles.py', 'mine.py', '--num', '1')
    assert "part='val' of held_out=0.1" in printed and (tmp_path / 'puzzles/val_0.png').is_file()
    run(tmp_path, 'train.py', 'mine.py', '--cfg-options', *options)
    [log] = tmp_path.glob('work_dirs/mine/*/vis_data/scalars.json')
    first, second, validation = [json.loads(text) for text in log.read_text().splitlines()]
    for line in (first, second):
        assert line['loss_puzzle'] > 0 and 0 <= line['placed'] <= 1
    assert 0 <= validation['hsjp/placed'] <= 1

    run(
        tmp_path,
        'extract_backbone.py',
        'work_dirs/mine/epoch_1.pth',
        '--out',
        'backbone.safetensors',
    )
    [backbone] = tmp_path.glob('backbone-*.safetensors')
    base = f'_base_ = [{STOCK!r}]'
    stock = start.replace('backbone-1a2b3c4d.safetensors', backbone.name)
    assert stock != start
    (tmp_path / 'stock.py').write_text(f'{base}\n{stock}')
    printed = run(tmp_path, 'check_init.py', 'stock.py', backbone.name)
    for page in ('fine-tuning', 'checkpoints'):
        [line] = re.findall(r'^backbone: .*', (ROOT / f'docs/{page}.md').read_text(), re.M)
        line = line.replace('hrnet-w32-1a2b3c4d.safetensors', backbone.name)
        assert line.replace('1a2b3c4d', backbone.stem.rpartition('-')[2]) in printed


def test_quick_start_shows_the_readmes_config_and_start():
    assert set(snippets(README)) <= set(snippets((ROOT / 'docs/quick-start.md').read_text()))


@pytest.mark.parametrize('page', [*PAGES, *READMES], ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    text = page.read_text()
    for link in re.findall(r'\]\((?!\w+:)([^)\s]+)\)', text):
        path, _, section = link.partition('#')
        target = page.parent / path if path else page
        if path.startswith('api/'):
            continue  # built from the docstrings
        assert target.exists(), link
        headings = re.findall(r'^#+ (.+)$', target.read_text(), re.M) if section else []
        assert not section or section in [slug(heading) for heading in headings], link
    for name in re.findall(r'(?<![\w./])(?:tools|configs)/[\w/.-]+\.(?:py|sh)', text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"'hsjp_mm::([\w/.-]+\.py)'", text):
        assert (ROOT / 'configs' / name).exists(), name


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_python_of_a_page_is_python(page):
    for code in snippets(page.read_text()):
        ast.parse(code)


def test_the_options_that_the_documentation_names_are_the_tools_own():
    named = {
        (tool, option)
        for page in [*PAGES, *READMES]
        for block in snippets(page.read_text(), 'bash')
        for command in block.replace('\\\n', ' ').splitlines()
        for tool in re.findall(r'python tools/(\w+)\.py', command)
        for option in re.findall(r'(?<=\s)--[a-z][\w-]*', command.partition('#')[0])
        if tool not in ('train', 'test')  # MMPose's
    }
    shared = ''.join(path.read_text() for path in ROOT.glob('hsjp_mm/cli.py'))
    sources = {tool: (ROOT / f'tools/{tool}.py').read_text() + shared for tool, _ in named}
    assert len(named) > 15
    assert [pair for pair in sorted(named) if f"'{pair[1]}'" not in sources[pair[0]]] == []


def test_the_made_up_method_of_the_documentation_works():
    text = (ROOT / 'docs/add-a-method.md').read_text().replace('Turned', 'TurnedOfDocs')
    model_code, board_code, metric_code, config = snippets(text)
    names: dict = {}
    for code in (model_code, board_code, metric_code, config.partition('\n')[2]):
        exec(compile(code, 'add-a-method.md', 'exec'), names)
    model = MODELS.build(names['model']).eval()
    inputs = torch.rand(4, 3, 64, 64)
    assert model.loss(inputs)['loss_turn'] > 0
    samples = [PoseDataSample() for _ in inputs]
    answers = [s.pred_instances.right for s in model.predict(inputs, samples)]
    assert all(isinstance(s.pred_instances, InstanceData) and len(a) == 1
               for s, a in zip(samples, answers, strict=True))  # fmt: skip
    [(caption, picture)] = names['draw'](model, inputs, samples, True)
    assert caption == '4 crops' and picture.shape == (64, 64, 3)
    metric = METRICS.build(names['val_evaluator'])
    metric.process({}, [sample.to_dict() for sample in samples])
    expected = sum(bool(answer[0]) for answer in answers) / 4
    assert metric.evaluate(4) == {'turned/right': expected, 'turned/right_chance': 0.25}
    assert int(model.state_dict()['identity.turns']) == 4


def test_the_site_leads_to_every_page():
    site = (ROOT / 'mkdocs.yml').read_text()
    listed = set(re.findall(r': ([\w./-]+\.md)$', site, re.MULTILINE))
    written = {path.relative_to(ROOT).as_posix() for path in READMES}
    written |= {path.relative_to(ROOT / 'docs').as_posix() for path in PAGES[2:]}
    assert written <= listed
