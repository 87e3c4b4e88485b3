"""The whole business on one machine: real engine, containers and Caddy; Hetzner, Cloudflare and AWS simulated.

``python -m demo up`` and ``python -m demo down``; the only code beside tests that knows both the product and
``localcloud``.
"""
