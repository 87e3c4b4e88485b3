"""Risky changes of the registry wait on a branch until a person agrees; policy.yaml says which they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from registry.customers import Registry
from registry.provenance import Provenance
from registry.risk import POLICY, Risk
from registry.store import RegistryStore
from registry.wishes import Alert, AlertKind
from webhook.alerts import Alerts
from webhook.pull_requests import PullRequests


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """What asking for an agreement needs.

    Attributes:
        store: The registry.
        requests: Where a person is asked: pull requests, or the plain branch.
        alerts: Calls the person.
    """

    store: RegistryStore
    requests: PullRequests
    alerts: Alerts

    def ask(
        self, operation: Callable[[str, Registry], str], provenance: Provenance, risk: Risk, event_id: str | None
    ) -> str:
        """Propose an edit, once however often it is asked; return how it stands, for people.

        Args:
            operation: The edit.
            provenance: For its commit.
            risk: Why a person has to agree.
            event_id: The event that made it necessary; None for a new day.

        Raises:
            RegistryError: the edit is refused.
            PullRequestError: the pull request could not be opened; to be tried again.
        """
        branch = branch_of(provenance.customer_id, risk)
        proposal = self.store.propose(operation, replace(provenance, actor="proposal"), branch=branch)
        if proposal is None:
            return "it is merged already"
        if not proposal.is_pushed:
            return f"it waits on branch {branch}, which could not be pushed yet"
        request = self.requests.open(proposal, title=provenance.summary, body=_body(provenance, risk))
        if request.is_refused:
            return f"a person has refused it ({request.where})"
        text = (
            f"{provenance.summary}. A person has to agree, as {risk.reason}."
            f" Fix: look at it and merge it ({request.where}), or leave it; it is applied when it is merged."
        )
        alert = Alert(kind=AlertKind.APPROVAL, cause=f"approval:{branch}:{proposal.commit}", text=text)
        self.alerts.call(alert, customer_id=provenance.customer_id, event_id=event_id)
        return f"it waits for a person to merge it ({request.where})"

    def withdraw(self, customer_id: str) -> None:
        """Drop what was proposed for a customer and is wanted no longer, as after a payment."""
        ours = {f"hosting/{customer_id}-{kind}" for kind in POLICY.review}
        for branch in ours.intersection(self.store.proposals()):
            self.requests.close(branch, reason="It is wanted no longer: the facts have changed.")
            self.store.withdraw(branch)


def branch_of(customer_id: str, risk: Risk) -> str:
    """Return the branch for a risky change: one for each customer and kind."""
    kind = next(each for each in risk.kinds if POLICY.rule(each)[0] == "review")
    return f"hosting/{customer_id}-{kind}"


def _body(provenance: Provenance, risk: Risk) -> str:
    """Return what the pull request says; all of it is words and ids of our own."""
    lines = [
        provenance.summary,
        f"**A person has to agree**: {risk.reason}.",
        "It is applied to the one cell when it is merged. Leave it, or close it, and nothing changes.",
        f"Why: `hosting why {provenance.customer_id}`" + (f" (event {provenance.cause})" if provenance.cause else ""),
    ]
    return "\n\n".join(lines) + "\n"
