"""A laptop's Cloudflare: zones, DNS records and settings, as a provider for the engine and as the HTTP API."""
