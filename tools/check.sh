#!/usr/bin/env bash
# Set everything up, then lint, check types, build the documentation and run the tests. --fast leaves
# out the tests marked slow. --floor runs the tests, and nothing else, with the lowest versions that
# are supported, in an environment of their own, .venv-floor. Other arguments go to pytest.
set -euo pipefail

is_floor() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null
}

# The first Python 3.10 of those on the PATH and in pyenv's folder.
find_floor() {
  local python
  for python in python3.10 python3 python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python; do
    if is_floor "$python"; then
      command -v "$python"
      return
    fi
  done
  return 1
}

floor=false
arguments=()
for argument in "$@"; do
  case "$argument" in
    --floor) floor=true ;;
    --fast) arguments+=(-m 'not slow') ;;
    *) arguments+=("$argument") ;;
  esac
done
if "$floor"; then
  if ! UV_PYTHON=$(find_floor); then
    echo 'skipped: no Python 3.10, neither on the PATH nor of pyenv'
    exit 0
  fi
  export UV_PYTHON UV_PROJECT_ENVIRONMENT=.venv-floor
fi
source "$(dirname "$0")/setup_env.sh"
if ! "$floor"; then
  uv run ruff check
  uv run ruff format --check
  uv run mypy
  NO_MKDOCS_2_WARNING=1 uv run mkdocs build --strict --quiet
fi
uv run pytest "${arguments[@]}"
