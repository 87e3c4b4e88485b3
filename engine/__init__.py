"""The Pulumi engine and its providers: found, downloaded or built from pinned Go modules.

Where not to put code: what the engine is told to do belongs to ``webhook/deploy.py``.
"""
