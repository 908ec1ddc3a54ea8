#!/usr/bin/env bash
# Set everything up, then lint, check types, build the documentation and run the tests. --fast leaves
# out those marked slow; other arguments go to pytest.
source "$(dirname "$0")/setup_env.sh"
arguments=()
for argument in "$@"; do
  if [ "$argument" = --fast ]; then
    arguments+=(-m 'not slow')
  else
    arguments+=("$argument")
  fi
done
uv run ruff check
uv run ruff format --check
uv run mypy
NO_MKDOCS_2_WARNING=1 uv run mkdocs build --strict --quiet
uv run pytest "${arguments[@]}"
