"""Caddy's configuration: rendered from a few settings, and never from customers."""
