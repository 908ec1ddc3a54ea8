"""Small helpers for files and names."""
