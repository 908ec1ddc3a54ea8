"""What is installed, and does it fit. Imports the standard library only.

Its modules import one another relatively, for tools/doctor.py loads this folder without hsjp_mm.
"""
