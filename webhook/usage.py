"""What a customer uses: bytes on disk and accounts."""

from __future__ import annotations

import re

import structlog

from registry.wishes import DataUsed
from webhook.cell_engine import EngineError
from webhook.customer_volume import CustomerVolume, VolumeError

MEASURE_SECONDS = 120
KIB = 1024
_ANSWER = re.compile(r"([0-9]{1,15})\n([0-9]{1,9})\n", re.ASCII)

log = structlog.get_logger("worker")


def measure(volume: CustomerVolume) -> DataUsed | None:
    """Return what is used, as the file system and SQLite say; None where it can't be measured, with a line in the log.

    Bytes are those of blocks on the disk, so sparse files and links do not count for more than they take.
    """
    try:
        with volume.reading("measure", seconds=MEASURE_SECONDS) as output:
            answer = output.read(KIB).decode("ascii", errors="replace")
    except (EngineError, VolumeError) as error:
        log.warning("usage unknown", customer=volume.customer_id, cell=volume.cell, error=str(error))
        return None
    found = _ANSWER.fullmatch(answer)
    if found is None:
        log.warning("usage unknown", customer=volume.customer_id, cell=volume.cell, error="not two numbers")
        return None
    return DataUsed(storage_bytes=int(found[1]) * KIB, users=int(found[2]))
