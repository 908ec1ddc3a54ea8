"""The compiler of MMCV's operators, on two small files with a header in the place of torch's."""

import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT

COMPILER = ROOT / 'tools/mmcv_cxx.sh'
HEADER = 'torch_once.hpp.gch'

pytestmark = pytest.mark.skipif(
    not (sys.platform == 'linux' and shutil.which('g++') and shutil.which('flock')),
    reason='precompiled headers are made with GCC on Linux',
)


@pytest.fixture
def build(tmp_path):
    """A folder of a build, whose ``torch/types.h`` says what number ``answer`` gives."""
    folder = tmp_path / 'build'
    folder.mkdir()
    write(tmp_path / 'include/torch/types.h', '#pragma once\ninline int answer() { return 42; }')
    for name in 'a', 'b':
        code = f'int {name}() {{ return answer(); }}'
        write(folder / f'{name}.cpp', f'#include <torch/types.h>\n{code}')
    write(folder / 'main.cpp', 'int a(); int b();\nint main() { return a() + b() == 84 ? 0 : 1; }')
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + '\n')


def start(build, name, *options):
    """Compile a file as torch's builds do, beside others."""
    written = ['-MMD', '-MF', f'{name}.o.d', '-g0', '-fPIC', '-I../include']
    read = ['-c', '-c', f'{name}.cpp', '-o', f'{name}.o', '-std=c++17', *options]
    return subprocess.Popen(
        [COMPILER, *written, *read], cwd=build, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    """Its exit status and what it said."""
    said = process.communicate()[1]
    return process.returncode, said


def test_files_side_by_side_read_the_header_once(build):
    processes = [start(build, name, '-H') for name in ('a', 'b', 'main')]
    for status, said in map(finish, processes):
        assert status == 0
        # GCC marks a precompiled header that it takes with an exclamation mark
        assert f'! {build}/{HEADER}' in said
    linked = subprocess.run([COMPILER, 'a.o', 'b.o', 'main.o', '-o', 'answers'], cwd=build)
    assert linked.returncode == 0
    assert subprocess.run([build / 'answers']).returncode == 0
    assert (build / 'a.o.d').is_file()


def test_the_header_goes_when_all_is_linked(build):
    temporary = build / 'build/temp.linux'
    temporary.mkdir(parents=True)
    for name in 'a.cpp', 'b.cpp':
        (temporary / name).write_text((build / name).read_text())
    for name in 'a', 'b':
        assert finish(start(temporary, name, '-I../../../include'))[0] == 0
    assert (temporary / HEADER).is_file()
    objects = ['build/temp.linux/a.o', 'build/temp.linux/b.o']
    linked = subprocess.run([COMPILER, '-shared', *objects, '-o', 'answers.so'], cwd=build)
    assert linked.returncode == 0 and (build / 'answers.so').is_file()
    assert not list(temporary.glob('torch_once*'))


def test_a_header_made_with_other_options_is_left_out(build):
    assert finish(start(build, 'a'))[0] == 0
    status, said = finish(start(build, 'b', '-H', '-fno-exceptions', '-DOTHER'))
    assert status == 0
    assert f'! {build}/{HEADER}' not in said


def test_a_file_compiles_where_the_header_does_not(build):
    write(build / 'torch_once.hpp', '#error only in the precompiled header')
    write(build / HEADER, 'no precompiled header')
    assert finish(start(build, 'a'))[0] == 0
    assert (build / 'a.o').is_file()


def test_a_wrong_file_fails_with_what_the_compiler_says(build):
    write(build / 'a.cpp', 'int a() { return missing; }')
    status, said = finish(start(build, 'a'))
    assert status != 0
    assert 'missing' in said


def test_other_calls_go_to_the_compiler():
    ours, theirs = (
        subprocess.run([compiler, '--version'], capture_output=True, text=True)
        for compiler in (COMPILER, 'c++')
    )
    assert (ours.returncode, ours.stdout) == (0, theirs.stdout)
