"""Type tokens are part of every URN: one that changes would replace what it names."""

from __future__ import annotations

import ast
from pathlib import Path

COMPONENTS = Path(__file__).parents[2] / "components"

TOKENS = {
    "BackupBucket": "hosting:storage:BackupBucket",
    "CellServer": "hosting:compute:CellServer",
    "ControlDatabase": "hosting:control:ControlDatabase",
    "ControlServer": "hosting:compute:ControlServer",
    "ControlService": "hosting:control:ControlService",
    "Customer": "hosting:cell:Customer",
    "EdgeFirewall": "hosting:network:EdgeFirewall",
    "PrivateNetwork": "hosting:network:PrivateNetwork",
    "Proxy": "hosting:cell:Proxy",
    "SharedDns": "hosting:dns:SharedDns",
    "TenantImage": "hosting:cell:TenantImage",
    "TenantsNetwork": "hosting:cell:TenantsNetwork",
}
"""Class to token. A token changes only together with an alias on the component and a date here."""


def components() -> dict[str, ast.ClassDef]:
    """Return every component of the source, class name to class."""
    return {
        node.name: node
        for path in sorted(COMPONENTS.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any("ComponentResource" in ast.unparse(base) for base in node.bases)
    }


def constructor(component: ast.ClassDef) -> ast.FunctionDef:
    """Return a component's `__init__`."""
    return next(node for node in component.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")


def base_call(component: ast.ClassDef) -> ast.Call:
    """Return a component's call of its base class."""
    first = constructor(component).body[0]
    assert isinstance(first, ast.Expr)
    assert isinstance(first.value, ast.Call)
    assert ast.unparse(first.value.func) == "super().__init__", component.name
    return first.value


def test_tokens_are_pinned() -> None:
    """Every component's token is in the table above and nothing else is."""
    found = {name: ast.literal_eval(base_call(component).args[0]) for name, component in components().items()}
    assert found == TOKENS


def test_tokens_end_in_the_class() -> None:
    """A token reads `hosting:<module>:<Class>`."""
    for name, token in TOKENS.items():
        package, module, last = token.split(":")
        assert (package, last) == ("hosting", name)
        assert module.islower()


def test_components_have_one_signature() -> None:
    """`(name, args, opts=None)`: a caller of one knows them all."""
    for name, component in components().items():
        arguments = constructor(component).args
        assert [each.arg for each in arguments.args] == ["self", "name", "args", "opts"], name
        assert ast.unparse(arguments.args[2].annotation or ast.Constant(None)) == f"{name}Args"
        assert [ast.unparse(each) for each in arguments.defaults] == ["None"], name


def test_options_go_to_the_base_class_only() -> None:
    """The caller's options handed on to children would replace their parent."""
    for name, component in components().items():
        uses = [node for node in ast.walk(component) if isinstance(node, ast.Name) and node.id == "opts"]
        assert len(uses) == 1, name
        assert uses[0] in base_call(component).args, name


def test_outputs_are_registered_last() -> None:
    """A component is complete when the engine hears of its outputs."""
    for name, component in components().items():
        assert ast.unparse(constructor(component).body[-1]).startswith("self.register_outputs("), name
