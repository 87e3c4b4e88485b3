"""What runs on a server besides containers: first boot, tenants' firewall, storage quotas."""
