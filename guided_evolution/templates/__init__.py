"""Files that are written or sent elsewhere and run there."""
