"""The control service as in production: up, reachable where it shall be, exchanged, and its database lost and found."""

from __future__ import annotations

import re
import secrets
import socket

import httpx
import pytest

from tests.integration.control.premises import DOMAIN, WEBHOOK_SECRET, Premises
from tests.integration.control.runbook import commands, run
from tests.integration.control.stripe_sender import Sender, event
from tests.integration.images.yard import wait_for

PORTAL = f"portal.{DOMAIN}"
BACKUPS = "control-database.md"


def sender(control: Premises) -> Sender:
    """Return a Stripe that sends events to the portal's address."""
    return Sender(site=control.site(), secret=WEBHOOK_SECRET, name=secrets.token_hex(4))


def is_ready(control: Premises) -> bool:
    """Whether web does its part, a worker its own, and the worker's engine runs."""
    try:
        return control.ask("/readyz").json()["status"] == "ok"
    except (httpx.HTTPError, ValueError):  # Caddy's answer, where web has none
        return False


def kept(control: Premises, sent: Sender) -> list[str]:
    """Return the ids of a sender's events that are in the database, as often as they are there."""
    ids = [row[0] for row in control.query("select id from events")]
    return [each for each in ids if each.startswith(f"evt_{sent.name}")]


def waiting(control: Premises) -> int:
    """How many events no worker has settled yet."""
    return int(control.query("select count(*) from events where state = 'received'")[0][0])


def test_everything_runs(control: Premises) -> None:
    """Web, worker, Postgres, backups and Caddy, the ones with a health check healthy, none of them ever restarted."""
    found = control.containers()
    assert set(found) == {"web", "worker", "database", "database-backup", "proxy"}
    assert {name: (each.status, each.attrs["RestartCount"]) for name, each in found.items()} == dict.fromkeys(
        found, ("running", 0)
    )
    assert found["web"].attrs["State"]["Health"]["Status"] == "healthy"
    assert found["database"].attrs["State"]["Health"]["Status"] == "healthy"
    wait_for("a backup", lambda: found["database-backup"].exec_run(["control-start", "backup", "check"]).exit_code == 0)


def test_it_is_ready(control: Premises) -> None:
    """Cells and monitoring hear so at the private address, with the worker and its engine."""
    wait_for("ready", lambda: is_ready(control), seconds=30)
    answer = control.ask("/readyz").json()
    assert set(answer["checks"].values()) == {"ok"}
    (worker,) = answer["workers"]
    assert worker["name"].startswith("control-worker-1:")
    assert worker["engine"] == "3.259.0"
    assert control.ask("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("host", [PORTAL, DOMAIN])
def test_the_internet_gets_the_shared_pages_only(control: Premises, host: str) -> None:
    """What is for cells and monitoring is not there."""
    site = control.site(host)
    assert [site.ask(path).status for path in ("/healthz", "/checkout")] == [200, 200]
    assert [site.ask(path).status for path in ("/readyz", "/metrics", "/internal/ask?domain=x")] == [404] * 3


def test_cells_get_no_pages(control: Premises) -> None:
    """At the private address there is what they ask for, and it is nowhere else."""
    assert control.ask("/internal/ask?domain=nobody.example.org").status_code == 404
    assert "hosting_stripe_events" in control.ask("/metrics").text
    assert control.ask("/checkout").status_code == 404
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", control.private_port), timeout=5)


def test_only_caddy_is_reachable(control: Premises) -> None:
    """No other container has a port on the server, and the database has no way out nor Caddy one to it."""
    found = control.containers()
    published = {name for name, each in found.items() if any(each.ports.values())}
    assert published == {"proxy"}
    s3 = control.control["environment"]["AWS_ENDPOINT_URL"]
    look = ["python", "-c", f"import urllib.request as r; r.urlopen('{s3}', timeout=5)"]
    assert found["database-backup"].exec_run(look).exit_code == 0
    assert found["database"].exec_run(["busybox", "wget", "-T", "5", "-qO-", s3]).exit_code != 0
    database = next(iter(found["database"].attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    for place, answers in (("web 8300", True), ("database 5432", False), (f"{database} 5432", False)):
        connect = ["timeout", "5", "busybox", "sh", "-c", f"busybox nc {place} </dev/null"]
        assert (found["proxy"].exec_run(connect).exit_code == 0) is answers, place


def test_a_worker_brings_a_merged_commit_onto_a_cell(control: Premises) -> None:
    """Fetched and carried out with the key in its memory: the state from S3, the cell's Docker over SSH."""
    control.lend_clouds()
    control.merge("acorn", "birch")
    wait_for("instances", lambda: control.instances() == {"c-acorn": "healthy", "c-birch": "healthy"}, seconds=100)
    assert control.query("select count(*) from ledger where kind = 'alert'") == [["0"]]


def test_a_second_update_changes_nothing(control: Premises) -> None:
    """Every resource is found the same."""
    before = control.ages()
    result = control.up()
    assert (result.changed, result.changes["same"]) == (0, control.first.changes["create"])
    assert control.ages() == before


def test_a_new_version_loses_no_event(control: Premises) -> None:
    """While it takes the old one's place each event is taken at the first try, kept once, and settled."""
    before = control.ages()
    with sender(control) as stripe:
        control.set(image=control.other_version())
        result = control.up()
    print(f"\nnew version in {result.seconds} s: {stripe.report()}")  # noqa: T201 - measured for the report
    assert {name for name, age in control.ages().items() if age != before[name]} == {"web", "worker", "database-backup"}
    assert stripe.failures == []
    assert sorted(kept(control, stripe)) == sorted(stripe.sent)
    wait_for("settled", lambda: waiting(control) == 0, seconds=30)
    wait_for("ready", lambda: is_ready(control), seconds=30)


def test_a_database_that_dies_takes_no_event_with_it(control: Premises) -> None:
    """Without it events are refused, and Stripe sends them again; what was taken before is there."""
    database = control.containers()["database"]
    with sender(control) as stripe:
        wait_for("some events", lambda: len(stripe.attempts) > 40)
        database.kill()
        wait_for("refusals", lambda: len(stripe.failures) > 5, seconds=20)
        assert control.ask("/readyz").status_code == 503
        assert control.ask("/healthz").status_code == 200
        database.start()
        wait_for("ready", lambda: is_ready(control), seconds=60)
    print(f"\ndatabase killed: {stripe.report()}")  # noqa: T201 - the same
    assert {each.outcome for each in stripe.failures} == {"503 refused"}
    assert sorted(kept(control, stripe)) == sorted(stripe.sent)
    wait_for("settled", lambda: waiting(control) == 0, seconds=60)


def test_an_exchanged_database_loses_no_event(control: Premises) -> None:
    """Another image of it starts on the same data; web and worker stay and find it again."""
    before = control.ages()
    with sender(control) as stripe:
        wait_for("some events", lambda: len(stripe.attempts) > 20)
        control.set(database_image=control.other_version("database_image"))
        result = control.up()
        wait_for("ready", lambda: is_ready(control), seconds=60)
    print(f"\ndatabase exchanged in {result.seconds} s: {stripe.report()}")  # noqa: T201 - the same
    assert {name for name, age in control.ages().items() if age != before[name]} == {"database"}
    assert {each.outcome for each in stripe.failures} == {"503 refused"}
    assert sorted(kept(control, stripe)) == sorted(stripe.sent)
    wait_for("settled", lambda: waiting(control) == 0, seconds=60)


def test_a_backup_is_restored_to_look_at_it(control: Premises) -> None:
    """As the runbook says: made, read back, restored into a database of another name, looked at, removed."""
    basics, looking, _ = commands(BACKUPS)
    said = run(basics, looking)
    assert "read back" in said
    assert "restored control/" in said
    for state, count in control.query("select state, count(*) from events group by 1"):
        assert re.search(rf"^ *{state} *\| *{count}$", said, re.MULTILINE), said
    assert control.query("select 1 from pg_database where datname = 'looking'") == []


def test_a_lost_database_is_restored(control: Premises) -> None:
    """As the runbook says: web and worker find again what the backup has, and take the next events in."""
    basics, _, loss = commands(BACKUPS)
    events = control.query("select id, state, received_at from events order by id")
    assert "restored control/" in run(basics, loss)
    wait_for("ready", lambda: is_ready(control), seconds=60)
    assert control.query("select id, state, received_at from events order by id") == events
    stripe = sender(control)
    assert stripe.post(event(events[0][0], 0)).outcome == "200 duplicate"
    assert stripe.post(event(f"evt_{stripe.name}", 0)).outcome == "200 received"
    wait_for("settled", lambda: waiting(control) == 0, seconds=60)
