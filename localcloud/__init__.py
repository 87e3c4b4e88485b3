"""A laptop's Hetzner, Cloudflare, AWS and Stripe, for the demo and the tests. Production code never imports it."""
