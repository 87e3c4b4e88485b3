"""Per-customer secrets, derived from one master key so that none has to be stored."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ENCRYPTION_KEY_LENGTH = 32
"""Characters; the app refuses any other length."""


def derive(*, master_keys: Mapping[str, str], version: int, purpose: str, customer_id: str) -> str:
    """Derive one secret of a customer by HKDF-SHA256 (RFC 5869).

    Args:
        master_keys: Version (a decimal string) to master key, at least 32 characters each.
        version: Which master key; a new version rotates the secret.
        purpose: ``jwt`` or ``encryption``: separates the secrets of one customer.
        customer_id: Separates customers.

    Returns:
        43 characters of URL-safe base64 (256 bits).

    Raises:
        ValueError: there is no master key of that version, or it is too short.
    """
    master = master_keys.get(str(version), "")
    if len(master) < 32:  # noqa: PLR2004 - 256 bits as hex or base64 are longer than that
        msg = (
            f"hosting:tenant_master_keys has no key of at least 32 characters for version {version}; no instance"
            " can start without it. Fix: pulumi config set --secret --path "
            f'\'hosting:tenant_master_keys["{version}"]\' "$(openssl rand -base64 48)"'
        )
        raise ValueError(msg)
    info = f"markitup-hosting/{purpose}/v{version}/{customer_id}".encode()
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(master.encode())
    return base64.urlsafe_b64encode(key).decode().rstrip("=")
