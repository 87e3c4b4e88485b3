"""A laptop's Hetzner, Cloudflare and AWS, for the demo and the tests. Production code never imports it."""
