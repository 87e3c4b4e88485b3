"""The control service: what Caddy and Stripe ask it, the sign-up pages, and the workflows that follow from events.

The web process imports neither Pulumi nor a provider's SDK; only ``deploy.py`` does, which it never imports.
"""

import sys


def _load_without_colours() -> None:
    """Import what would load rich, for consoles that no service has: 4 MB of a web process that may have 100."""
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # pyright: ignore[reportArgumentType] - so is an import refused
        import httpx  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]
        import structlog  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]

        del sys.modules["rich"]


_load_without_colours()
