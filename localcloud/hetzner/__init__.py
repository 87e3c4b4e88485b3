"""A laptop's Hetzner Cloud: its HTTP API v1, for the real Terraform-based provider and the `hcloud` client.

One project: every token of 64 characters opens it. Not here: volumes, floating IPs, load balancers, certificates,
snapshots, backups, ISOs, the rescue system, DNS zones.
"""
