"""A customer's life: another plan, suspended and back, and gone by one step after the other."""

from __future__ import annotations

from registry import edits
from registry.plans import PLANS
from tests.integration.estate.estate import DOMAIN, LEAVING_TOGETHER, LOCAL_CELL, SSH_CELL, Estate, today
from tests.integration.estate.https import Watch

MIB = 1024 * 1024


def test_plan_goes_up_and_down_without_a_gap(estate: Estate) -> None:
    """Limits follow the plan, the data stay, the session holds, and a visitor never sees an error."""
    user = estate.user("alder")
    user.post("/api/files", {"filename": "plan", "content": "# A plan"})
    before = estate.data_hash("c-alder", LOCAL_CELL)
    with Watch(estate.site("alder")) as watch, Watch(user, "/api/files") as gated:
        for name in ("pro", "team"):
            estate.change("c-alder", plan=name)
            estate.apply(LOCAL_CELL)
            limits = estate.container("c-alder").attrs["HostConfig"]
            assert (limits["Memory"], limits["NanoCpus"]) == (PLANS[name].memory_mib * MIB, PLANS[name].cpus * 1e9)
            assert estate.data_hash("c-alder", LOCAL_CELL) == before
    assert (watch.failures, gated.failures) == ([], [])
    assert min(watch.count, gated.count) > 20
    assert user.ask("/api/auth/me").status == 200
    assert estate.can_sign_in("alder")


def test_suspended_customer_comes_back_with_everything(estate: Estate) -> None:
    """Suspended: no container, a page that says so, data kept. Active again: the same data."""
    estate.user("birch").post("/api/files", {"filename": "kept", "content": "# Kept"})
    before = estate.data_hash("c-birch", LOCAL_CELL)
    estate.change("c-birch", status="suspended")
    estate.apply(LOCAL_CELL)
    assert estate.containers("c-birch") == []
    assert estate.has_volume("c-birch", LOCAL_CELL)
    page = estate.site("birch").ask("/")
    assert (page.status, b"paused" in page.body) == (503, True)
    estate.change("c-birch", status="active")
    estate.apply(LOCAL_CELL)
    assert estate.site("birch").is_healthy()
    assert estate.data_hash("c-birch", LOCAL_CELL) == before
    assert estate.can_sign_in("birch")


def test_customer_leaves_step_by_step(estate: Estate) -> None:
    """Deleting, purging, gone: the data are there until the last step, and no step can be left out."""
    estate.user("elder")
    _refused_to_forget(estate, "c-elder")
    estate.change("c-elder", status="deleting", delete_after=today())
    estate.apply(SSH_CELL)
    assert estate.containers("c-elder") == []
    assert estate.site("elder").ask("/").status == 410
    _refused_to_forget(estate, "c-elder")
    estate.change("c-elder", status="purging")
    estate.apply(SSH_CELL)
    assert f"elder.{DOMAIN}" not in estate.records()
    assert estate.has_volume("c-elder", SSH_CELL)
    estate.remove("c-elder")
    estate.apply(SSH_CELL)
    assert not estate.has_volume("c-elder", SSH_CELL)


def _refused_to_forget(estate: Estate, customer_id: str) -> None:
    """Take the entry away before its time: the update fails and changes nothing."""
    ages, records = estate.ages(), estate.records()
    text = edits.remove(estate.registry_file.read_text(), customer_id, quarantine_until=today())
    with estate.other_text(estate.registry_file, text):
        result = estate.up(SSH_CELL)[SSH_CELL]
    assert f"customers/{customer_id}: the entry is gone" in str(result.error)
    assert result.changed == 0
    assert (estate.ages(), estate.records()) == (ages, records)
    assert estate.has_volume(customer_id, SSH_CELL)


def test_many_removals_need_a_confirmation(estate: Estate) -> None:
    """Three customers at once go only when the operator has agreed to exactly three."""
    estate.remove(*LEAVING_TOGETHER)
    for confirmed in (0, 2):
        result = estate.up(SSH_CELL, confirmed_removals=confirmed)[SSH_CELL]
        assert "--confirm-removals 3" in str(result.error)
        assert all(estate.has_volume(each, SSH_CELL) for each in LEAVING_TOGETHER)
    estate.apply(SSH_CELL, confirmed_removals=3)
    assert not any(estate.has_volume(each, SSH_CELL) for each in LEAVING_TOGETHER)
