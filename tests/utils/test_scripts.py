import sys
import warnings

from hsjp_mm.utils.scripts import hide_harmless_warnings, run_script


def test_a_file_is_the_program_and_arguments_stay(tmp_path, monkeypatch, capsys):
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys, __main__\n'
        "print(__name__, sys.argv, __file__, __main__.__file__, sys.modules['__main__'].here)\n"
    )
    script.write_text('here = 5\n' + script.read_text())
    monkeypatch.setattr(sys, 'argv', ['hsjp-mm x', 'y'])
    before = sys.modules['__main__']
    run_script(script)
    assert capsys.readouterr().out == f"__main__ ['hsjp-mm x', 'y'] {script} {script} 5\n"
    assert sys.modules['__main__'] is before


def test_harmless_warnings_alone_are_hidden():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        hide_harmless_warnings()
        warnings.warn('The metainfo config file "a.py" does not exist.', stacklevel=1)
        warnings.warn('`torch.cuda.amp.autocast(args...)` is deprecated.', stacklevel=1)
        warnings.warn('something else', stacklevel=1)
    assert [str(warning.message) for warning in seen] == ['something else']
