"""Names are written as they are, whatever Matplotlib makes of some letters."""

import io
import warnings

import matplotlib
import pytest
from matplotlib.figure import Figure

from hsjp_mm.visualization.labels import ZERO_WIDTH, plain_label
from hsjp_mm.visualization.page import svg


def test_usual_names_stay():
    assert plain_label('hsjp_2 <b>') == 'hsjp_2 <b>'


@pytest.mark.parametrize('name', ['a$b$', 'costs 5$', '$\\frac$', '_mine', '_$x$'])
def test_names_are_in_title_and_legend_as_they_are(name):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=plain_label(name))
    axes.set_title(plain_label(name))
    legend = axes.legend()
    assert len(legend.get_texts()) == 1
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # as of a letter that the font lacks
        figure.savefig(io.BytesIO(), format='png')
    with matplotlib.rc_context({'svg.fonttype': 'none'}):
        assert svg(figure).replace(ZERO_WIDTH, '').count(f'>{name}</text>') == 2
