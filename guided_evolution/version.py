"""The version of this package, also written into every worker's row."""

__version__ = "0.1.0"
