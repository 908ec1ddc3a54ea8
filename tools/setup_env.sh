# Sourced by demo.sh and check.sh: make the environment, with uv, from pyproject.toml and setup.py.
# It is .venv, or the folder that UV_PROJECT_ENVIRONMENT names. Installs uv into .uv if it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v uv >/dev/null; then
  if [ ! -x .uv/bin/uv ]; then
    echo 'installing uv into .uv'
    python3 -m venv .uv
    .uv/bin/pip install --quiet uv
  fi
  export PATH="$PWD/.uv/bin:$PATH"
fi
# Found on the PATH, for a path with spaces would be taken for several words; yours is kept.
sync() { PATH="$PWD/tools:$PATH" CXX="${CXX:-mmcv_cxx.sh}" uv sync "$@"; }
environment=${UV_PROJECT_ENVIRONMENT:-.venv}
if [ -d "$environment" ]; then
  sync --quiet
else
  echo "making $environment; the first time on a machine this compiles mmcv, some minutes"
  sync
fi
export PYTHONWARNINGS=ignore
# Containers often set this; every process would then compile all of torch and MMPose again, six seconds.
unset PYTHONDONTWRITEBYTECODE
