"""Parts of HTML pages that need no other file and no network."""

import html
import io
from collections.abc import Sequence

from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } img, svg { max-width: 100%; height: auto; }
svg { background: #fff; color-scheme: light; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .3rem .8rem; text-align: left; }
tr + tr { border-top: 1px solid light-dark(#ccc, #555); }
pre { overflow-x: auto; background: light-dark(#f4f4f4, #2b2b2b); padding: .6rem; }
.wide { overflow-x: auto; } .wide img { min-width: 50rem; }
"""


def page(title: str, sections: Sequence[str], style: str = '') -> str:
    """Put a page together.

    Args:
        title: Its heading, as plain text.
        sections: HTML.
        style: CSS beside that of all pages.
    """
    title = html.escape(title)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><style>{STYLE}{style}</style></head><body>'
        + '\n'.join([f'<h1>{title}</h1>', *sections])
        + '</body></html>'
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table of plain texts."""

    def row(cells: Sequence[str], tag: str) -> str:
        return '<tr>' + ''.join(f'<{tag}>{html.escape(c)}</{tag}>' for c in cells) + '</tr>'

    body = ''.join(row(cells, 'td') for cells in rows)
    return f'<table>{row(header, "th")}{body}</table>'


def svg(figure: Figure) -> str:
    """Write a figure as an element of a page."""
    text = io.StringIO()
    figure.savefig(text, format='svg')
    return text.getvalue()[text.getvalue().index('<svg') :]
