"""From the official files of data sets of bodies to the one format of meshes; one file a source.

The readers of official formats are here alone. Each converter takes what its download holds, leaves
out what cannot be used, says what and why, and refuses files whose units, axes or sides are not
what they should be.
"""
