"""What to declare: turns settings and the registry into components, for the platform and for a cell.

The same functions serve ``pulumi up`` (``__main__.py``) and inline programs of the Automation API.
Where not to put code: how a piece is declared belongs to ``components/``.
"""
