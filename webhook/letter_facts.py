"""What a letter's text tells of a customer's instance at the time when it is owed."""

from __future__ import annotations

from registry.customers import Customer
from registry.lifecycle import deciding
from registry.plans import PLANS
from registry.transitions import apply
from registry.wishes import SUSPENDED_FROM_ATTEMPT, Mail, MailKind, Wish
from stacks.settings import Settings
from webhook.subscriptions import Account


def letter_facts(
    mail: Mail, account: Account, wished: Wish, entry: Customer | None, *, settings: Settings, portal_url: str
) -> dict[str, object]:
    """Return what a letter tells; dates as text, for they are kept with it.

    Args:
        mail: The letter.
        account: Who pays, and for what.
        wished: What is wished for, and why.
        entry: The customer's, before; None where there is none yet.
        settings: The environment's, for the instance's address.
        portal_url: Where customers see to their subscription.
    """
    after = apply(wished, entry, cell=min(settings.cells)) or entry
    assert after is not None  # noqa: S101 - nobody is written to about nothing
    waiting = mail.kind in {MailKind.DOWNGRADE_HELD, MailKind.DOMAIN_ENDS}
    asked = deciding((account.subscription, *account.others)).plan
    plan = PLANS[asked if waiting and asked is not None else after.plan]
    attempt = int(mail.cause.rpartition(":")[2]) if mail.cause.rpartition(":")[2].isdigit() else 0
    return {
        "url": settings.url_of(after),
        "portal_url": portal_url,
        "plan": plan.name,
        "users": plan.users,
        "storage_gib": plan.storage_gib,
        "reason": mail.reason or wished.reason,
        "attempt": attempt,
        "attempts_until_suspension": max(0, SUSPENDED_FROM_ATTEMPT - attempt),
        "last_day": str(wished.delete_after or after.delete_after or ""),
        "domain": (entry and entry.domain) or "",
        "day": str(wished.day),
        "quarantine_until": str(wished.quarantine_until or ""),
    }
