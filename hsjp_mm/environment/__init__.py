"""What is installed, and does it fit. Imports the standard library only."""
