#!/usr/bin/env bash
# Set everything up, then lint, check types and run the tests. Arguments go to pytest.
source "$(dirname "$0")/setup_env.sh"
uv run ruff check
uv run ruff format --check
uv run mypy
uv run pytest "$@"
