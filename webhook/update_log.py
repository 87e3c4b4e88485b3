"""What the engine tells while it works, for people and for the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pulumi.automation.events import EngineEvent

OPERATIONS = ("create", "update", "replace", "delete", "same")
_MARKUP = re.compile(r"<\{%[^%]*%\}>")
_STEPS = {
    "create": ("created", "would create"),
    "update": ("updated", "would update"),
    "delete": ("deleted", "would delete"),
    "create-replacement": ("replaced", "would replace"),
}
"""The engine's name of a step to what an update and a preview call it."""


class UpdateLog:
    """Follows the engine's events of one update: progress for people, changes and errors for the result."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._counts: Mapping[str, int] = {}
        self.steps: list[str] = []
        self.errors: list[str] = []

    def changes(self) -> Mapping[str, int]:
        """Return the number of resources by operation; all 0 until the engine has told the sum."""
        return {name: int(self._counts.get(name, 0)) for name in OPERATIONS}

    def event(self, event: EngineEvent) -> None:
        """Take an event of the engine."""
        if event.res_outputs_event is not None:
            step = event.res_outputs_event.metadata
            updating, planning = _STEPS.get(str(step.op.value), (None, None))
            verb = planning if event.res_outputs_event.planning else updating
            if verb is not None:
                line = f"{verb} {step.type.rsplit(':', 1)[-1]} {step.urn.rsplit('::', 1)[-1]}"
                if line not in self.steps:  # a component's step is told at its beginning and at its end
                    self.steps.append(line)
                    self._say(f"{self._name}: {line}")
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            text = _MARKUP.sub("", event.diagnostic_event.message).strip().removeprefix("an unhandled error occurred: ")
            if text and text not in self.errors:
                self.errors.append(text)
        elif event.summary_event is not None:
            self._counts = {str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()}


def last_lines(text: str, count: int = 15) -> str:
    """Return the end of what the engine printed, without its colours."""
    return "\n".join([line for line in _MARKUP.sub("", text).splitlines() if line.strip()][-count:])
