"""What the endpoints of all kinds of objects have in common: create, retrieve, update, list, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.listing import page


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a request brought.

    Attributes:
        params: Typed parameters.
        base: Where the pages are, such as ``http://127.0.0.1:8000/stripe``.
    """

    params: Thing
    base: str


Handler = Callable[..., Thing]
Route = tuple[str, str, str, Handler]
"""Method, rule, the SDK's type of the parameters, and what answers: called with the Call and the ids of the path."""


def merged(metadata: Thing, change: Thing | None) -> Thing:
    """Return metadata with a change: an empty value takes a key out, None takes all out."""
    if change is None:
        return {}
    if any(len(key) > 40 or len(str(value)) > 500 for key, value in change.items()):  # noqa: PLR2004 - Stripe's limits
        raise invalid("Metadata keys can be up to 40 characters long and values up to 500.", "metadata")
    return {key: value for key, value in {**metadata, **change}.items() if value != ""}


class Resource:
    """The endpoints of one kind of object.

    Attributes:
        kind: As in ``object``.
        path: As in ``/v1/PATH``.
        params: How the SDK's parameter types begin.
        prefix: Of ids.
        filters: Parameters of the list that are compared with the field of the same name.
        verbs: What can be done.
        announce: Whether there are events of this kind.
    """

    kind: ClassVar[str]
    path: ClassVar[str]
    params: ClassVar[str]
    prefix: ClassVar[str]
    filters: ClassVar[tuple[str, ...]] = ()
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list"})
    announce: ClassVar[bool] = True

    def __init__(self, account: Account) -> None:
        self.account = account

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints."""
        many, one = f"/v1/{self.path}", f"/v1/{self.path}/<key>"
        yield from (
            route
            for verb, route in {
                "create": ("POST", many, f"{self.params}CreateParams", self.create),
                "list": ("GET", many, f"{self.params}ListParams", self.list),
                "retrieve": ("GET", one, f"{self.params}RetrieveParams", self.retrieve),
                "update": ("POST", one, f"{self.params}UpdateParams", self.update),
                "delete": ("DELETE", one, f"{self.params}DeleteParams", self.delete),
            }.items()
            if verb in self.verbs
        )

    def make(self, params: Thing) -> Thing:
        """Return a new object's own fields, all that Stripe shows."""
        raise NotImplementedError

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change an object; by default each parameter sets the field of its name."""
        thing.update(params)

    def before_delete(self, thing: Thing) -> None:
        """Refuse to delete an object, or take leave of what refers to it."""

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants an object."""
        return all(thing.get(name) == params[name] for name in self.filters if name in params)

    def create(self, call: Call) -> Thing:
        """Create an object."""
        params = {name: value for name, value in call.params.items() if name != "expand"}
        fields = self.make(params)
        fields.setdefault("metadata", merged({}, params.get("metadata") or {}))
        thing = {**self.account.new(self.kind, self.prefix), **fields}
        return self.account.add(thing, self._event("created"))

    def retrieve(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Show one object."""
        return self.account.need(self.kind, key)

    def update(self, call: Call, key: str) -> Thing:
        """Change an object."""
        thing = self.account.need(self.kind, key)
        params = {name: value for name, value in call.params.items() if name not in {"expand", "metadata"}}
        if "metadata" in call.params:
            thing["metadata"] = merged(thing["metadata"], call.params["metadata"])
        self.apply(thing, params)
        return self.account.change(thing, self._event("updated"))

    def list(self, call: Call) -> Thing:
        """List objects, newest first."""
        things = [each for each in reversed(self.account.all(self.kind)) if self.choose(each, call.params)]
        return page(things, call.params, f"/v1/{self.path}")

    def delete(self, call: Call, key: str) -> Thing:  # noqa: ARG002 - all handlers are called alike
        """Delete an object."""
        thing = self.account.need(self.kind, key)
        self.before_delete(thing)
        return self.account.remove(thing, self._event("deleted"))

    def _event(self, what: str) -> str | None:
        return f"{self.kind}.{what}" if self.announce else None


def blank(names: str, value: Any = None) -> Thing:  # noqa: ANN401 - any JSON value
    """Return fields that all have the same value, None unless told."""
    return dict.fromkeys(names.split(), value)
