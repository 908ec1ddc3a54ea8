"""The measurements of `hsjp-mm benchmark`: ours against what one would run instead."""
