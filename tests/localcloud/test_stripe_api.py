"""The simulated Stripe's manners: keys, parameters, refusals, repeats, lists, expansions, faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from localcloud.faults import Fault, Mode
from localcloud.stripe_api.errors import ApiError
from localcloud.stripe_api.form import decode
from localcloud.stripe_api.parameters import typed
from tests.localcloud.stripe_world import World, a_world

KEY = {"Authorization": "Bearer sk_test_local"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("key", ["", "pk_test_x", "sk_live_x", "nonsense"])
def test_only_a_secret_test_key_opens(world: World, key: str) -> None:
    """A live key above all is refused, so that nobody takes this for the real one."""
    answer = httpx.get(f"{world.base}/v1/customers", headers={"Authorization": f"Bearer {key}"} if key else {})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    with pytest.raises(stripe.AuthenticationError):
        world.v1.customers.list(options={"api_key": "sk_live_x"})


def test_basic_authentication_works_as_curl_does(world: World) -> None:
    """`curl -u sk_test_x:` is how Stripe's documentation calls."""
    assert httpx.get(f"{world.base}/v1/customers", auth=("sk_test_x", "")).json()["data"] == []


def test_the_client_of_today_is_spoken_to(world: World) -> None:
    """Answers carry a request id and the version that the SDK asked for."""
    customer = world.v1.customers.create({"email": "a@b.example", "metadata": {"a": "1"}})
    assert customer.last_response is not None
    assert customer.last_response.request_id.startswith("req_")
    assert customer.last_response.headers["stripe-version"] == "2026-10-28.endive"


def test_nested_parameters_are_read() -> None:
    """Objects, lists with and without numbers, and keys that only look like numbers."""
    pairs = [("a[b][0]", "x"), ("a[b][1]", "y"), ("expand[]", "p"), ("expand[]", "q"), ("metadata[0]", "z")]
    assert decode(pairs) == {
        "a": {"b": {"0": "x", "1": "y"}},
        "expand": {"0": "p", "1": "q"},
        "metadata": {"0": "z"},
    }
    assert typed({"metadata": {"0": "z"}, "expand": {"0": "p"}}, "CustomerCreateParams") == {
        "metadata": {"0": "z"},
        "expand": ["p"],
    }


@pytest.mark.parametrize("pairs", [[("a", "1"), ("a[b]", "2")], [("a[b]", "1"), ("a", "2")], [("a[", "1")], [("", "")]])
def test_parameters_that_contradict_are_refused(pairs: list[tuple[str, str]]) -> None:
    """A name that is both a value and an object, or that can't be read."""
    with pytest.raises(ApiError):
        decode(pairs)


@pytest.mark.parametrize(
    ("path", "form", "param", "code"),
    [
        ("customers", {"emial": "x"}, "emial", "parameter_unknown"),
        ("customers", {"address[town]": "x"}, "address[town]", "parameter_unknown"),
        ("customers", {"balance": "much"}, "balance", "parameter_invalid_integer"),
        ("customers", {"metadata": "x"}, "metadata", None),
        ("products", {}, "name", "parameter_missing"),
        ("prices", {"currency": "usd", "product": "prod_no", "unit_amount": "1"}, "product", "resource_missing"),
        ("subscriptions", {"customer": "cus_no", "items[0][price]": "x"}, "customer", "resource_missing"),
        ("coupons", {"percent_off": "120"}, "percent_off", None),
        ("coupons", {"duration": "sometimes"}, "duration", None),
        ("webhook_endpoints", {"url": "nowhere", "enabled_events[]": "*"}, "url", "url_invalid"),
        ("webhook_endpoints", {"url": "http://x", "enabled_events[]": "a.b"}, "enabled_events[0]", None),
    ],
)
def test_wrong_parameters_are_refused_by_name(
    world: World, path: str, form: dict[str, str], param: str, code: str | None
) -> None:
    """As the official description has it, and with the path of what is wrong."""
    answer = httpx.post(f"{world.base}/v1/{path}", data=form, headers=KEY)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["type"], error["param"], error.get("code")) == ("invalid_request_error", param, code)


def test_what_is_not_there_is_missing(world: World) -> None:
    """404 for ids and paths alike."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        world.v1.customers.retrieve("cus_no")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (404, "resource_missing", "id")
    answer = httpx.post(f"{world.base}/v1/nothing/such", headers=KEY)
    assert answer.status_code == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


def test_a_repeated_key_repeats_the_answer(world: World) -> None:
    """The same request is carried out once; another with the same key is refused."""
    options: Any = {"idempotency_key": "signup-1"}
    first = world.v1.customers.create({"email": "a@b.example"}, options)
    again = world.v1.customers.create({"email": "a@b.example"}, options)
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert len(world.v1.customers.list().data) == 1
    with pytest.raises(stripe.IdempotencyError):
        world.v1.customers.create({"email": "other@b.example"}, options)


def test_a_refused_request_leaves_its_key_free(world: World) -> None:
    """Parameters that are refused were never carried out; a corrected request may use the key."""
    options: Any = {"idempotency_key": "k"}
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.subscriptions.create({"customer": "cus_no", "items": [{"price": "x"}]}, options)
    assert world.v1.customers.create({}, options).id


def test_an_answer_lost_on_the_way_is_not_done_twice(world: World) -> None:
    """The client repeats the request with its own key after the connection broke."""
    world.faults.order(Fault(cloud="stripe", operation="POST /v1/customers", mode=Mode.CRASH_AFTER_CREATE))
    world.v1.customers.create({"email": "a@b.example"}, {"max_network_retries": 2})
    assert len(world.v1.customers.list().data) == 1


def test_lists_come_in_pages_newest_first(world: World) -> None:
    """By cursor in both directions, within limits, and to the end by the client's own iteration."""
    ids = [world.v1.customers.create({"name": str(number)}).id for number in range(13)][::-1]
    first = world.v1.customers.list()
    assert ([each.id for each in first.data], first.has_more) == (ids[:10], True)
    rest = world.v1.customers.list({"starting_after": ids[9]})
    assert ([each.id for each in rest.data], rest.has_more) == (ids[10:], False)
    back = world.v1.customers.list({"ending_before": ids[9], "limit": 4})
    assert ([each.id for each in back.data], back.has_more) == (ids[5:9], True)
    assert [each.id for each in world.v1.customers.list({"limit": 3}).auto_paging_iter()] == ids
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "cus_no"}, {"limit": "x"}):
        with pytest.raises(stripe.InvalidRequestError):
            world.v1.customers.list(wrong)  # type: ignore[arg-type]


def test_lists_are_filtered(world: World) -> None:
    """By field and by time."""
    for mail in ("a@x.example", "b@x.example"):
        world.v1.customers.create({"email": mail})
    assert [each.email for each in world.v1.customers.list({"email": "a@x.example"}).data] == ["a@x.example"]
    later = world.look("clock")["now"] + 5
    assert world.v1.customers.list({"created": {"gt": later}}).data == []
    assert len(world.v1.customers.list({"created": {"lte": later}}).data) == 2


def test_ids_are_expanded_on_request(world: World) -> None:
    """In objects, in lists, several levels deep, and what is only there on demand."""
    subscription = world.subscribed(world.price())
    paths = ["customer", "latest_invoice.payments.data.payment.payment_intent", "default_payment_method"]
    thing: Any = world.v1.subscriptions.retrieve(subscription.id, {"expand": paths})
    payment = thing.latest_invoice.payments.data[0].payment
    assert (thing.customer.email, thing.default_payment_method.card.last4) == ("owner@acme.example", "4242")
    assert payment.payment_intent.status == "succeeded"
    charge = world.v1.charges.retrieve(payment.payment_intent.latest_charge, {"expand": ["payment_intent"]})
    assert (charge.paid, charge.amount) == (True, 799)
    listed: Any = world.v1.subscriptions.list({"expand": ["data.customer", "data.items.data.price.product"]}).data[0]
    assert (listed.customer.id, listed["items"].data[0].price.product.name) == (thing.customer.id, "Personal")
    customer: Any = world.v1.customers.retrieve(thing.customer.id, {"expand": ["subscriptions"]})
    assert [each.id for each in customer.subscriptions.data] == [subscription.id]
    assert "subscriptions" not in world.v1.customers.retrieve(thing.customer.id).to_dict()
    for wrong in ("nothing", "customer.nothing", "status", "a.b.c.d.e"):
        with pytest.raises(stripe.InvalidRequestError):
            world.v1.subscriptions.retrieve(subscription.id, {"expand": [wrong]})


def test_metadata_is_merged(world: World) -> None:
    """A key stays unless it is emptied; emptying all empties all; limits hold."""
    customer = world.v1.customers.create({"metadata": {"a": "1", "b": "2", "_c": "3"}})
    assert customer.metadata is not None
    changed = world.v1.customers.update(customer.id, {"metadata": {"a": "", "d": "4"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "_c": "3", "d": "4"}
    cleared = world.v1.customers.update(customer.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.customers.update(customer.id, {"metadata": {"k" * 41: "v"}})


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        (Mode.ERROR, stripe.APIError),
        (Mode.RATE_LIMITED, stripe.RateLimitError),
        (Mode.TIMEOUT, stripe.APIConnectionError),
    ],
)
def test_faults_are_suffered_by_operation(world: World, mode: Mode, error: type[Exception]) -> None:
    """As often as ordered; calls are counted with ids left out."""
    customer = world.v1.customers.create({})
    world.faults.order(Fault(cloud="stripe", operation="GET /v1/customers/:id", mode=mode))
    with pytest.raises(error):
        world.v1.customers.retrieve(customer.id, options={"max_network_retries": 0})
    assert world.v1.customers.retrieve(customer.id).id == customer.id
    assert world.store.calls()["stripe", "GET /v1/customers/:id"] == 2


def test_the_client_rides_out_a_short_outage(world: World) -> None:
    """Its own repeats are enough for a few failed calls; a longer outage is an error, and then it is over."""
    world.knob("outage", calls=2, status=503)
    assert world.v1.customers.create({}, {"max_network_retries": 3}).id
    world.knob("outage", seconds=60, status=500)
    with pytest.raises(stripe.APIError):
        world.v1.customers.list(options={"max_network_retries": 0})
    world.knob("outage", status=429, calls=1)
    with pytest.raises(stripe.RateLimitError):
        world.v1.customers.list(options={"max_network_retries": 0})
    assert len(world.v1.customers.list().data) == 1
