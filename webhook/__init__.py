"""The control service: what Caddy asks, and later Stripe's webhooks, the portal and the workflows.

The web process imports neither Pulumi nor a provider's SDK; only ``deploy.py`` does, which it never imports.
"""
