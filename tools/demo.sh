#!/usr/bin/env bash
# Set everything up, then pretrain with puzzles, fine-tune with and without, and write a report.
# Arguments go to tools/demo.py: --data FOLDER for COCO persons in place of rendered ones.
source "$(dirname "$0")/setup_env.sh"
uv run python tools/demo.py "$@"
