"""SSH keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import ClassVar

from localcloud.hetzner.resource import Answer, Call, Resource

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


class SshKeys(Resource):
    """``/ssh_keys``."""

    kind = "ssh_key"
    filters: ClassVar = ("name", "fingerprint")
    has_actions = False

    @property
    def title(self) -> str:
        """The kind in messages."""
        return "SSH key"

    def create(self, call: Call) -> Answer:
        """Upload a public key."""
        fields = call.fields
        name = fields.name(required=True)
        public_key = fields.text("public_key", required=True)
        labels = fields.labels()
        fingerprint = _fingerprint(public_key or "")
        if public_key is not None and fingerprint is None:
            fields.problem("public_key", "Not a valid SSH public key.")
        fields.check()
        self.require_unique("name", str(name))
        self.require_unique("fingerprint", str(fingerprint))
        key = {
            "id": self.cloud.new_id(),
            "name": name,
            "fingerprint": fingerprint,
            "public_key": public_key,
            "labels": labels or {},
            "created": self.cloud.now(),
        }
        self.cloud.save(self.kind, key)
        return 201, {"ssh_key": self.view(key)}


def _fingerprint(public_key: str) -> str | None:
    """Return the MD5 fingerprint, or None if it is no public key."""
    match public_key.split(maxsplit=2):
        case [kind, text, *_] if kind in KEY_TYPES:
            try:
                blob = base64.b64decode(text, validate=True)
            except binascii.Error:
                return None
            length = len(kind).to_bytes(4, "big")
            if not blob.startswith(length + kind.encode()):
                return None
            digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
            return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))
        case _:
            return None
