"""The management database: people, their instances, money's mirror, backups, and what happened because of what.

Not here: what shall exist (``customers.yaml``), what is paid (Stripe), what exists (the engine's state). Personal data
is in the table ``customers`` only; everything else knows people by opaque ids.
"""
