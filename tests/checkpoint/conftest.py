import pytest

from tests.checkpoint.helpers import toy_runner


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """Work directory of a finished run."""
    work_dir = tmp_path_factory.mktemp('finished')
    toy_runner(work_dir).train()
    return work_dir
