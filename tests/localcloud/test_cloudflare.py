"""The simulated Cloudflare: what its zones refuse, its limits, and its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from localcloud.cloudflare.http import cloudflare_blueprint
from localcloud.cloudflare.kinds import cloudflare
from localcloud.cloudflare.zones import CALLS, RECORDS_ON_FREE_PLAN, WINDOW_SECONDS, Zones
from localcloud.faults import Fault, Faults, Mode
from localcloud.provider import CloudError
from localcloud.store import Store
from tests.localcloud.engine_stub import EngineStub, engine_for

ZONE = "a" * 32
RECORD = "cloudflare:index/dnsRecord:DnsRecord"
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
BEARER = {"Authorization": "Bearer token"}


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "cloud.db")) as opened:
        yield opened


@pytest.fixture
def zones(store: Store, clock: Clock) -> Zones:
    made = Zones(store, clock=clock)
    made.add_zone("example.org", ZONE)
    return made


@pytest.fixture
def faults(store: Store) -> Faults:
    return Faults(store, sleep=lambda _: None)


@pytest.fixture
def http(zones: Zones, faults: Faults) -> FlaskClient:
    app = Flask("test")
    app.register_blueprint(cloudflare_blueprint(zones, faults), url_prefix="/client/v4")
    return app.test_client()


@pytest.fixture
def engine(zones: Zones, faults: Faults) -> Iterator[EngineStub]:
    with engine_for(cloudflare(zones, faults)) as stub:
        yield stub


def record(**changes: Any) -> dict[str, Any]:
    """Return a sound record's body."""
    body = {"zone_id": ZONE, "name": "www.example.org", "type": "A", "content": "203.0.113.1", "ttl": 300}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


def refusal(zones: Zones, record_id: str | None = None, **changes: Any) -> tuple[int, int]:
    """Return the HTTP status and the code that a record is refused with."""
    with pytest.raises(CloudError) as caught:
        zones.save_record(record(**changes), record_id)
    return caught.value.status, caught.value.body["errors"][0]["code"]


def test_a_zone_is_added_once(zones: Zones) -> None:
    """A second registration of a domain changes nothing."""
    assert zones.add_zone("example.org")["id"] == ZONE
    assert [(each["name"], each["status"]) for each in zones.zones()] == [("example.org", "active")]


def test_an_identical_record_is_refused(zones: Zones) -> None:
    """The same name, type and content again is refused; one of the three other is not."""
    zones.save_record(record())
    assert refusal(zones) == (400, 81058)
    assert refusal(zones, ttl=1, proxied=True, comment="other") == (400, 81058)
    zones.save_record(record(content="203.0.113.2"))
    zones.save_record(record(type="AAAA", content="2001:db8::1"))
    zones.save_record(record(name="w3.example.org"))
    assert len(zones.records(ZONE)) == 4


def test_records_made_of_data_are_compared_by_it(zones: Zones) -> None:
    """Two CAA records differ by their data, which has to be whole."""
    caa = {"type": "CAA", "name": "example.org", "content": None}
    zones.save_record(record(**caa, data={"flags": 0, "tag": "issue", "value": "letsencrypt.org"}))
    zones.save_record(record(**caa, data={"flags": 0, "tag": "issuewild", "value": "letsencrypt.org"}))
    assert refusal(zones, **caa, data={"flags": 0, "tag": "issue", "value": "letsencrypt.org"}) == (400, 81058)
    assert refusal(zones, **caa, data={"flags": 0, "tag": "issue"}) == (400, 9005)


@pytest.mark.parametrize("kind", ["A", "AAAA", "CNAME"])
def test_a_cname_stands_alone(zones: Zones, kind: str) -> None:
    """Beside a CNAME there is no address and beside an address no CNAME; elsewhere there is."""
    contents = {"A": "203.0.113.9", "AAAA": "2001:db8::9", "CNAME": "other.example.net"}
    zones.save_record(record(type="CNAME", content="target.example.net"))
    assert refusal(zones, type=kind, content=contents[kind]) == (400, 81053)
    zones.save_record(record(name="else.example.org", type=kind, content=contents[kind]))
    assert refusal(zones, name="else.example.org", type="CNAME", content="x.example.net") == (400, 81053)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content": "203.0.113.256"}, 9005),
        ({"content": "2001:db8::1"}, 9005),
        ({"content": "host.example.net"}, 9005),
        ({"content": ""}, 9005),
        ({"content": None}, 9005),
        ({"type": "AAAA"}, 9005),
        ({"type": "AAAA", "content": "2001:db8::1::2"}, 9005),
        ({"type": "CNAME", "content": ""}, 9005),
        ({"type": "SPF"}, 1004),
        ({"type": None}, 1004),
        ({"name": "www.example.net"}, 9000),
        ({"name": "wwwexample.org"}, 9000),
        ({"name": "a b.example.org"}, 9000),
        ({"name": None}, 9000),
        ({"proxied": True}, 9004),
        ({"proxied": True, "ttl": 1, "type": "TXT", "content": "x"}, 9004),
    ],
)
def test_an_unsound_record_is_refused(zones: Zones, changes: dict[str, Any], code: int) -> None:
    """Wrong addresses, types, names outside the zone and proxied records with a TTL change nothing."""
    assert refusal(zones, **changes) == (400, code)
    assert zones.records(ZONE) == []


@pytest.mark.parametrize("kind", ["A", "AAAA", "CNAME"])
def test_an_address_may_be_proxied_with_automatic_ttl(zones: Zones, kind: str) -> None:
    """With TTL 1, which means automatic, the proxy takes it."""
    contents = {"A": "203.0.113.9", "AAAA": "2001:db8::9", "CNAME": "other.example.net"}
    saved = zones.save_record(record(type=kind, content=contents[kind], proxied=True, ttl=1))
    assert saved["proxied"]
    assert saved["proxiable"]


def test_a_free_zone_holds_200_records(zones: Zones) -> None:
    """The 201st is refused until one goes; a change of one of the 200 is not, nor is another zone's record."""
    assert RECORDS_ON_FREE_PLAN == 200
    ids = [zones.save_record(record(name=f"n{number}.example.org"))["id"] for number in range(200)]
    assert refusal(zones) == (400, 81045)
    zones.save_record(record(name="n0.example.org", content="203.0.113.2"), ids[0])
    other = zones.add_zone("example.net")["id"]
    zones.save_record(record(zone_id=other, name="www.example.net"))
    assert zones.delete_record(ids[1])
    zones.save_record(record())
    assert len(zones.records(ZONE)) == 200


def test_a_change_keeps_id_and_date_of_birth(zones: Zones, clock: Clock) -> None:
    """A changed record is the same record, younger; what is not there can't be changed."""
    born = zones.save_record(record())
    clock.now += 60
    changed = zones.save_record(record(content="203.0.113.2"), born["id"])
    assert (changed["id"], changed["created_on"]) == (born["id"], born["created_on"])
    assert changed["created_on"] == "2027-01-15T08:00:00Z"
    assert changed["modified_on"] == "2027-01-15T08:01:00Z"
    assert zones.records(ZONE) == [changed]
    assert refusal(zones, "f" * 32) == (404, 81044)


def test_a_zone_of_nobody_has_nothing(zones: Zones) -> None:
    """Records and settings of a zone that does not exist are refused."""
    assert refusal(zones, zone_id="b" * 32) == (404, 7003)
    with pytest.raises(CloudError, match="7003"):
        zones.save_setting("b" * 32, "ssl", "strict")


def test_1200_calls_in_five_minutes(zones: Zones, clock: Clock) -> None:
    """The 1,201st call within five minutes is refused, and all others for five minutes after it."""
    assert (CALLS, WINDOW_SECONDS) == (1200, 300)
    for _ in range(1200):
        zones.limit()
    clock.now += 299
    for later in (0, 150, 149.9):
        clock.now += later
        with pytest.raises(CloudError, match="10013") as caught:
            zones.limit()
        assert caught.value.status == 429
    clock.now += 0.2
    zones.limit()


def test_old_calls_do_not_count(zones: Zones, clock: Clock) -> None:
    """Four calls a second may go on forever."""
    for _ in range(5000):
        zones.limit()
        clock.now += 0.25001


def test_the_engine_keeps_records(engine: EngineStub, zones: Zones) -> None:
    """A record goes through its whole life; a second deletion is no error."""
    inputs = {"zoneId": ZONE, "name": "www.example.org", "type": "A", "content": "203.0.113.1", "ttl": 1}
    inputs["proxied"] = True
    key, state = engine.create(RECORD, inputs)
    assert zones.record(key) == {**record(ttl=1, proxied=True), "id": key, "proxiable": True} | {
        "created_on": state["createdOn"],
        "modified_on": state["modifiedOn"],
    }
    changed = {**inputs, "content": "203.0.113.2"}
    assert engine.update(RECORD, key, state, changed)["content"] == "203.0.113.2"
    assert engine.read(RECORD, key, state)[2] == changed
    engine.delete(RECORD, key, state)
    engine.delete(RECORD, key, state)
    assert zones.records(ZONE) == []
    assert engine.read(RECORD, key, state)[0] == ""


def test_the_engine_keeps_settings(engine: EngineStub, zones: Zones, http: FlaskClient) -> None:
    """A zone's setting is set, changed and read; its deletion leaves the zone as it is."""
    inputs = {"zoneId": ZONE, "settingId": "ssl", "value": "full"}
    key, state = engine.create(SETTING, inputs)
    assert engine.update(SETTING, key, state, {**inputs, "value": "strict"})["value"] == "strict"
    assert engine.read(SETTING, key, state)[2] == {**inputs, "value": "strict"}
    engine.delete(SETTING, key, state)
    setting = zones.setting(ZONE, "ssl")
    assert setting is not None
    assert setting["value"] == "strict"
    assert result(http.get(f"/client/v4/zones/{ZONE}/settings", headers=BEARER)) == [setting]
    assert engine.read(SETTING, "other", state)[0] == ""


def test_every_call_of_the_engine_counts_towards_the_limit(store: Store, faults: Faults, clock: Clock) -> None:
    """Create, read, update and delete are one call each, of records and of settings."""
    zones = Zones(store, clock=clock, calls=7)
    zones.add_zone("example.org", ZONE)
    kinds = cloudflare(zones, faults).kinds
    inputs = {"zoneId": ZONE, "name": "www.example.org", "type": "A", "content": "203.0.113.1", "ttl": 300}
    key, state = kinds[RECORD].create(inputs, "x")
    kinds[RECORD].read(key, state)
    kinds[RECORD].update(key, state, inputs)
    kinds[RECORD].delete(key, state)
    setting = {"zoneId": ZONE, "settingId": "ssl", "value": "full"}
    kinds[SETTING].create(setting, "x")
    kinds[SETTING].read("ssl", setting)
    kinds[SETTING].update("ssl", setting, setting)
    with pytest.raises(CloudError, match="10013"):
        kinds[RECORD].delete(key, state)


def result(response: TestResponse) -> Any:
    """Return a good answer's result."""
    assert response.status_code == 200, response.text
    assert response.get_json()["success"]
    return response.get_json()["result"]


def problem(response: TestResponse) -> tuple[int, int]:
    """Return the HTTP status and code of a refusal."""
    assert response.get_json()["success"] is False
    return response.status_code, response.get_json()["errors"][0]["code"]


def test_http_wants_a_token(http: FlaskClient) -> None:
    """Without a bearer token every route answers 403."""
    assert problem(http.get("/client/v4/zones")) == (403, 9109)
    assert problem(http.post("/client/v4/zones", json={}, headers={"Authorization": "Basic x"})) == (403, 9109)


def test_http_keeps_zones(http: FlaskClient) -> None:
    """Zones are added and found by their name."""
    added = result(http.post("/client/v4/zones", json={"name": "example.net"}, headers=BEARER))
    assert result(http.get("/client/v4/zones?name=example.net", headers=BEARER)) == [added]
    assert len(result(http.get("/client/v4/zones", headers=BEARER))) == 2
    assert result(http.get("/client/v4/zones?name=example.com", headers=BEARER)) == []


def test_http_keeps_records(http: FlaskClient) -> None:
    """A record is added, found, changed in part and deleted, once."""
    path = f"/client/v4/zones/{ZONE}/dns_records"
    made = result(http.post(path, json=record(zone_id=None), headers=BEARER))
    result(http.post(path, json=record(zone_id=None, type="TXT", content="x"), headers=BEARER))
    assert result(http.get(f"{path}?type=A&name=www.example.org", headers=BEARER)) == [made]
    assert result(http.get(f"{path}?type=A&content=x", headers=BEARER)) == []
    changed = result(http.patch(f"{path}/{made['id']}", json={"content": "203.0.113.2"}, headers=BEARER))
    assert changed == {**made, "content": "203.0.113.2", "modified_on": changed["modified_on"]}
    assert result(http.delete(f"{path}/{made['id']}", headers=BEARER)) == {"id": made["id"]}
    assert problem(http.delete(f"{path}/{made['id']}", headers=BEARER)) == (404, 81044)
    assert problem(http.patch(f"{path}/{made['id']}", json={"content": "1.1.1.1"}, headers=BEARER)) == (404, 81044)
    assert len(result(http.get(path, headers=BEARER))) == 1


def test_http_refuses_as_the_zones_do(http: FlaskClient) -> None:
    """A refusal has Cloudflare's status, code and words."""
    path = f"/client/v4/zones/{ZONE}/dns_records"
    result(http.post(path, json=record(), headers=BEARER))
    assert problem(http.post(path, json=record(), headers=BEARER)) == (400, 81058)
    assert problem(http.get(f"/client/v4/zones/{'b' * 32}/dns_records", headers=BEARER)) == (404, 7003)


def test_http_finds_a_record_only_in_its_zone(http: FlaskClient, zones: Zones) -> None:
    """By the path of another zone a record is neither changed nor deleted."""
    other = zones.add_zone("sub.example.org")["id"]
    made = zones.save_record(record(name="www.sub.example.org"))
    path = f"/client/v4/zones/{other}/dns_records/{made['id']}"
    assert problem(http.patch(path, json={"ttl": 60}, headers=BEARER)) == (404, 81044)
    assert problem(http.delete(path, headers=BEARER)) == (404, 81044)
    assert zones.records(ZONE) == [made]


def test_http_pages_through_records(http: FlaskClient, zones: Zones) -> None:
    """Pages are whole, the last is what is left, one after it is empty; 100 records come unless told."""
    for number in range(107):
        zones.save_record(record(name=f"n{number}.example.org"))
    path = f"/client/v4/zones/{ZONE}/dns_records"

    def page(query: str) -> tuple[list[str], tuple[int, int, int, int, int]]:
        answer = http.get(f"{path}{query}", headers=BEARER)
        info = answer.get_json()["result_info"]
        numbers = tuple(info[name] for name in ("page", "per_page", "count", "total_count", "total_pages"))
        return [each["name"].split(".")[0] for each in result(answer)], numbers

    names = [f"n{number}" for number in range(107)]
    assert page("") == (names[:100], (1, 100, 100, 107, 2))
    assert page("?page=2") == (names[100:], (2, 100, 7, 107, 2))
    assert page("?page=3&per_page=50") == (names[100:], (3, 50, 7, 107, 3))
    assert page("?page=4&per_page=50") == ([], (4, 50, 0, 107, 3))
    assert page("?per_page=9999") == (names, (1, 5000, 107, 107, 1))
    assert page("?page=0&per_page=0") == (names[:1], (1, 1, 1, 107, 107))


def test_http_calls_count_towards_the_limit(store: Store, faults: Faults, clock: Clock) -> None:
    """Calls over HTTP and calls of the engine share one limit."""
    zones = Zones(store, clock=clock, calls=3)
    app = Flask("test")
    app.register_blueprint(cloudflare_blueprint(zones, faults), url_prefix="/client/v4")
    http = app.test_client()
    zones.limit()
    codes = [http.get("/client/v4/zones", headers=BEARER).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]


@pytest.mark.parametrize(
    ("mode", "status", "saved"),
    [
        (Mode.ERROR, 503, 0),
        (Mode.RATE_LIMITED, 429, 0),
        (Mode.TIMEOUT, 503, 0),
        (Mode.SLOW, 200, 1),
        (Mode.CRASH_AFTER_CREATE, 503, 1),
    ],
)
def test_http_suffers_faults(
    http: FlaskClient, zones: Zones, faults: Faults, mode: Mode, status: int, saved: int
) -> None:
    """Each mode fails a call as it says, and only a crash after the work leaves something behind."""
    faults.order(Fault(cloud="cloudflare", operation="POST *", mode=mode))
    path = f"/client/v4/zones/{ZONE}/dns_records"
    assert http.post(path, json=record(), headers=BEARER).status_code == status
    assert len(zones.records(ZONE)) == saved
