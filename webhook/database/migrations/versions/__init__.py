"""One file a revision, each from the one before."""
