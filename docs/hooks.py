"""What MkDocs cannot do by its settings: pages from outside of docs/, and our docstrings' roles.

README.md, CHANGELOG.md, CONTRIBUTING.md and the README of each folder of configs are pages of the
site as they stand. Links between them and docs/ are written for the repository, and turned here.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = ('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md')
FILES = ('LICENSE', 'CITATION.cff', 'tests/test_made_up_pretext.py')
LINK = re.compile(r'\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)')
ROLE = re.compile(r':(?:class|func|meth|mod|data|attr):<code>~?([^<]*)</code>')
REFERENCE = re.compile(r'<code>([^<]*?)\s*&lt;(https?:[^&]*)&gt;</code>__?')


def site_place(path: str) -> str:
    """Where a file of the repository is in the site."""
    return 'index.md' if path == 'README.md' else path.removeprefix('docs/')


def on_files(files, config):
    """Add the pages from outside of docs/, and the files that they link to."""
    found = (path for path in (ROOT / 'configs').rglob('*') if path.is_file())
    configs = [path for path in found if '__pycache__' not in path.parts]
    for path in [*(ROOT / name for name in (*PAGES, *FILES)), *sorted(configs)]:
        place = site_place(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links that are written for the repository."""
    own = Path(page.file.abs_src_path).relative_to(ROOT).parent.as_posix()
    here = posixpath.dirname(page.file.src_uri)

    def turned(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(own, match[1]))
        if not (ROOT / target).is_file():
            return match[0]  # MkDocs says what is wrong with it
        return f']({os.path.relpath(site_place(target), here or ".")}{match[2] or ""})'

    return LINK.sub(turned, markdown)


def on_page_content(html, page, config, files):
    """Show the roles and links of docstrings, which are Sphinx's, as what they mean."""
    html = html.replace('::</p>', ':</p>')  # before code
    html = ROLE.sub(lambda match: f'<code>{match[1]}</code>', html)
    return REFERENCE.sub(r'<a href="\2">\1</a>', html)
