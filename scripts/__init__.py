"""The operators' command line ``hosting``: thin over the other packages."""
