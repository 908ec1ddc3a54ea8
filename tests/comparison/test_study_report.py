"""The page over the reports of a study."""

from hsjp_mm.comparison.logs import Failure
from hsjp_mm.comparison.runs import FineTuning
from hsjp_mm.comparison.study_report import write_study
from hsjp_mm.comparison.verdicts import DASH


def make(init: str, share: float, seed: int, score: float) -> FineTuning:
    return FineTuning(
        init, share, seed, f'w/{init}/{share}/{seed}', 'mesh/PA-MPJPE', 'less',
        [(8, 99.0), (16, score)], 4, 1.0, 'c', '', {},
    )  # fmt: skip


def test_starts_are_rows_and_networks_with_shares_are_columns(tmp_path):
    pare = [make('scratch', 0.1, seed, 70 + seed) for seed in range(3)]
    pare += [make('hsjp', 0.1, 0, 65.04), make('hsjp', 1.0, 0, 60.0)]
    path = tmp_path / 'report.html'
    write_study(
        path,
        'A & B',
        {'PARE': pare, 'HMR': [make('scratch', 1.0, 0, 80.0)]},
        {'PARE': 'PARE/report.html', 'HMR': 'HMR/report.html'},
        failures=[Failure('hsjp, 100 % of the labels, seed 0', 'w', 'exit status 1', '')],
    )
    text = path.read_text().replace(DASH, '–')
    header = (
        '<th>from</th><th>PARE, 10 % of the labels: PA-MPJPE (mm)</th>'
        '<th>PARE, 100 % of the labels: PA-MPJPE (mm)</th>'
        '<th>HMR, 100 % of the labels: PA-MPJPE (mm)</th>'
    )
    assert header in text.replace('\xa0', ' ').replace('\u202f', ' ')
    assert '<tr><td>scratch</td><td>71.0 (70.0–72.0)</td><td>–</td><td>80.0</td></tr>' in text
    assert '<tr><td>hsjp</td><td>65.0</td><td>60.0</td><td>–</td></tr>' in text
    assert '<a href="HMR/report.html">HMR</a>' in text
    assert 'hsjp, 100 % of the labels, seed 0: exit status 1' in text
    assert '<h1>A &amp; B</h1>' in text and 'The pretrainings' not in text
