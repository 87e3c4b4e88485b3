"""Who may import whom: the layers of the project, held by reading every module's source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PULUMI_SDKS = frozenset({"pulumi", "pulumi_aws", "pulumi_cloudflare", "pulumi_docker", "pulumi_hcloud"})
CLIENTS_OF = {
    "bucket.py": {"boto3", "botocore"},
    "hetzner_orphans.py": {"hcloud"},
    "pull_requests.py": {"github"},
    "recovery.py": {"hcloud"},
}
"""The one module of the control service that knows a client; whoever else needs it goes there. All know Stripe's."""
CLIENTS = frozenset({"boto3", "botocore", "docker", "hcloud", "stripe", "github", "CloudFlare", "cloudflare"})
OURS = frozenset(path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))) | {"tests"}


def modules(package: str) -> list[Path]:
    """Return a package's modules."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, also inside functions: `yaml`, `stacks.settings.Settings`."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*origin, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
            assert texts, f"{path}: imports what only its run time knows"
            yield from map(str, texts)


def tops(path: Path) -> set[str]:
    """Return the top-level packages that a module imports."""
    return {name.split(".")[0] for name in imports(path)}


def strangers(package: str, allowed: set[str]) -> dict[str, set[str]]:
    """Return which modules of a package import packages of ours that they may not."""
    found = {str(path.relative_to(ROOT)): tops(path) & OURS - allowed for path in modules(package)}
    return {path: names for path, names in found.items() if names}


def test_modules_are_found() -> None:
    """An empty list would make every rule hold."""
    assert not {"components", "edge", "engine", "host", "registry", "scripts", "stacks", "webhook"} - OURS
    for package in OURS - {"tests"}:
        assert modules(package)
    assert "stacks.settings.Settings" in set(imports(ROOT / "stacks" / "cell.py"))
    assert "stacks.platform.declare_platform" in set(imports(ROOT / "stacks" / "program.py"))


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("registry", {"registry"}),
        ("components", {"components"}),
        ("stacks", {"components", "registry", "edge", "host", "stacks"}),
        ("webhook", {"registry", "webhook", "stacks", "engine"}),
        ("edge", {"edge"}),
        ("host", {"host"}),
        ("engine", {"engine"}),
    ],
)
def test_packages_import_only_what_is_below_them(package: str, allowed: set[str]) -> None:
    """Of our own packages."""
    assert strangers(package, allowed) == {}


def test_the_registry_knows_no_cloud() -> None:
    """It is pure: no SDK of any kind."""
    for path in modules("registry"):
        assert not tops(path) & (PULUMI_SDKS | CLIENTS), path


def test_components_know_nothing_but_the_engine() -> None:
    """Pulumi's SDKs, the standard library and each other."""
    for path in modules("components"):
        assert tops(path) <= PULUMI_SDKS | {"components"} | sys.stdlib_module_names, path


def test_edge_and_host_know_no_cloud() -> None:
    """They turn settings into text."""
    for path in (*modules("edge"), *modules("host")):
        assert not tops(path) & (PULUMI_SDKS | CLIENTS), path


def test_the_web_process_sees_only_names_and_settings() -> None:
    """Of the stacks; what declares them is for the worker's one module."""
    for path in modules("webhook"):
        used = {".".join(name.split(".")[:2]) for name in imports(path) if name.startswith("stacks")}
        allowed = {"stacks.settings", "stacks.control_settings", "stacks.names"}
        if path.name == "deploy.py":
            allowed.add("stacks.program")
        assert used <= allowed, path


def test_only_deploy_looks_for_the_engine() -> None:
    """Of the control service."""
    users = {path.name for path in modules("webhook") if "engine" in tops(path)}
    assert users == {"deploy.py"}


def test_only_deploy_drives_the_engine() -> None:
    """One module drives the Automation API; with its command and its events it alone imports Pulumi here."""
    users = {
        str(path.relative_to(ROOT))
        for package in OURS - {"tests"}
        for path in modules(package)
        if any(name.startswith("pulumi.automation") for name in imports(path))
    }
    # The first has the command line downloaded, the second gives it an end.
    assert users == {"engine/install.py", "webhook/bounded_command.py", "webhook/deploy.py", "webhook/update_log.py"}
    assert {name for name in imports(ROOT / "engine" / "install.py") if name.startswith("pulumi")} == {
        "pulumi.automation.PulumiCommand"
    }
    programs = {
        str(path.relative_to(ROOT))
        for package in OURS - {"tests", "stacks"}
        for path in modules(package)
        if any(name.startswith("stacks.program") for name in imports(path))
    }
    assert programs == {"webhook/deploy.py"}
    for path in modules("webhook"):
        if path.name not in {"deploy.py", "bounded_command.py", "update_log.py"}:
            assert not tops(path) & PULUMI_SDKS, path
        if path.name != "deploy.py":
            assert not tops(path) & CLIENTS - CLIENTS_OF.get(path.name, {"stripe"}), path


def test_nothing_imports_scripts_or_tests() -> None:
    """They are at the top; the demo may use the operators' tools."""
    for package in OURS - {"tests", "scripts"}:
        for path in modules(package):
            forbidden = {"tests"} if package in {"demo", "scripts"} else {"tests", "scripts"}
            assert not tops(path) & forbidden, path
    for path in modules("scripts"):
        assert "tests" not in tops(path), path


def test_the_local_cloud_is_for_demo_and_tests() -> None:
    """Nothing that runs in production imports it."""
    for package in OURS - {"demo", "localcloud", "tests"}:
        for path in modules(package):
            assert "localcloud" not in tops(path), path


def test_no_module_is_a_drawer() -> None:
    """A name says what is inside."""
    drawers = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}
    for package in OURS:
        for path in modules(package):
            assert path.stem not in drawers, path


def test_no_module_hides_a_package() -> None:
    """A module named like a package that it uses would be read for it."""
    for package in OURS - {"tests"}:
        for path in modules(package):
            assert path.stem not in tops(path) or path.stem in OURS | sys.stdlib_module_names, path


def test_the_entry_is_short() -> None:
    """Load, validate, declare, export: `__main__.py` has at most 40 lines."""
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 40
    assert tops(ROOT / "__main__.py") == {"pulumi", "stacks"}
