"""What the endpoints of all kinds of things have in common: list, get, rename, label, delete, actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import not_found, not_unique, protected
from localcloud.hetzner.fields import Fields
from localcloud.hetzner.listing import Query, choose, page
from localcloud.store import Thing


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a request brought."""

    body: Mapping[str, Any]
    query: Query

    @property
    def fields(self) -> Fields:
        """The body, to be read field by field."""
        return Fields(self.body)


Answer = tuple[int, Mapping[str, Any] | None]
Handler = Callable[..., Answer]
Route = tuple[str, str, Handler]
"""Method, rule and what answers it: called with the Call and the ids of the path."""
Command = Callable[[Call, Thing], Answer]
"""Answers ``POST /things/:id/actions/COMMAND``: called with the Call and the thing."""


class Resource:
    """The endpoints of one kind of thing."""

    kind: ClassVar[str]
    filters: ClassVar[tuple[str, ...]] = ("name",)
    has_actions: ClassVar[bool] = True

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @property
    def plural(self) -> str:
        """The kind in paths and lists."""
        return f"{self.kind}s"

    @property
    def title(self) -> str:
        """The kind in messages."""
        return self.kind.replace("_", " ")

    def routes(self) -> Iterator[Route]:
        """Yield all endpoints."""
        one = f"/{self.plural}/<int:key>"
        yield "GET", f"/{self.plural}", self.list
        yield "POST", f"/{self.plural}", self.create
        yield "GET", one, self.get
        yield "PUT", one, self.update
        yield "DELETE", one, self.delete
        if self.has_actions:
            yield "GET", f"/{self.plural}/actions", self.actions
            yield "GET", f"/{self.plural}/actions/<int:action>", self.action
            yield "GET", f"{one}/actions", self.actions
            yield "GET", f"{one}/actions/<int:action>", self.action
        for name, command in self.commands().items():
            yield "POST", f"{one}/actions/{name}", self._handler(command)

    def commands(self) -> dict[str, Command]:
        """Return what ``POST /things/:id/actions/...`` can do."""
        return {}

    def view(self, thing: Thing) -> Thing:
        """Return a thing as the API shows it."""
        return {key: value for key, value in thing.items() if key != "busy_until"}

    def create(self, call: Call) -> Answer:
        """Create a thing."""
        raise NotImplementedError

    def change(self, fields: Fields, thing: Thing) -> None:
        """Change what ``PUT`` can change beyond name and labels."""

    def before_delete(self, thing: Thing) -> None:
        """Refuse to delete a thing, or take leave of what refers to it."""

    def list(self, call: Call) -> Answer:
        """List things."""
        things = [self.view(thing) for thing in self.cloud.all(self.kind)]
        return 200, page(self.plural, choose(things, call.query, *self.filters), call.query)

    def get(self, call: Call, key: int) -> Answer:  # noqa: ARG002 - all handlers are called alike
        """Show one thing."""
        return 200, {self.kind: self.view(self.cloud.need(self.kind, key))}

    def update(self, call: Call, key: int) -> Answer:
        """Rename or label a thing."""
        thing = self.cloud.need(self.kind, key)
        fields = call.fields
        name = fields.name(required=False, hostname=self.kind == "server")
        labels = fields.labels()
        self.change(fields, thing)
        fields.check()
        if name is not None and name != thing["name"]:
            self.require_unique("name", name)
            thing["name"] = name
        if labels is not None:
            thing["labels"] = labels
        self.cloud.save(self.kind, thing)
        return 200, {self.kind: self.view(thing)}

    def delete(self, call: Call, key: int) -> Answer:  # noqa: ARG002 - all handlers are called alike
        """Delete a thing."""
        thing = self.cloud.need(self.kind, key)
        if thing.get("protection", {}).get("delete"):
            raise protected(self.title)
        self.before_delete(thing)
        self.cloud.remove(self.kind, key)
        return 204, None

    def actions(self, call: Call, key: int | None = None) -> Answer:
        """List the actions of all things of this kind, or of one."""
        if key is not None:
            self.cloud.need(self.kind, key)
        views = [self.cloud.action_view(action) for action in self.cloud.all("action") if self._about(action, key)]
        return 200, page("actions", choose(views, call.query, "status"), call.query)

    def action(self, call: Call, action: int, key: int | None = None) -> Answer:  # noqa: ARG002
        """Show one action."""
        found = self.cloud.need("action", action)
        if not self._about(found, key):
            raise not_found("action", action)
        return 200, {"action": self.cloud.action_view(found)}

    def change_protection(self, call: Call, thing: Thing) -> Answer:
        """Protect a thing from deletion, or no longer."""
        fields = call.fields
        wanted = {name: fields.flag(name) for name in thing["protection"]}
        fields.check()
        thing["protection"].update({name: value for name, value in wanted.items() if value is not None})
        self.cloud.save(self.kind, thing)
        return self.started("change_protection", thing)

    def started(self, command: str, thing: Thing, *others: tuple[str, int]) -> Answer:
        """Begin an action on a thing and answer with it."""
        action = self.cloud.start(command, (self.kind, thing["id"]), *others)
        return 201, {"action": self.cloud.action_view(action)}

    def require_unique(self, field: str, value: str) -> None:
        """Raise ApiError ``uniqueness_error`` if another thing has this."""
        if any(thing[field] == value for thing in self.cloud.all(self.kind)):
            raise not_unique(self.title, field)

    def _about(self, action: Thing, key: int | None) -> bool:
        return any(each["type"] == self.kind and key in {None, each["id"]} for each in action["resources"])

    def _handler(self, command: Command) -> Handler:
        def handle(call: Call, key: int) -> Answer:
            return command(call, self.cloud.need(self.kind, key))

        return handle
