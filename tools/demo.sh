#!/usr/bin/env bash
# Set everything up, then pretrain without labels, fine-tune with and without, and write a report.
# Arguments go to tools/demo.py: --pretext jigclu for Jigsaw Clustering in place of puzzles, --data
# FOLDER for COCO persons in place of rendered ones.
source "$(dirname "$0")/setup_env.sh"
uv run python tools/demo.py "$@"
