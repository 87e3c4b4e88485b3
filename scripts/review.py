"""``hosting review``: what a change of the registry means, for those who approve it."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from registry.errors import RegistryError
from registry.review import Review, refused, review_texts
from scripts.context import Context, today
from scripts.registry_versions import RangeError, Versions, versions
from scripts.review_markdown import github_annotations, markdown
from scripts.review_report import Report, as_data
from scripts.terminal import context_of, print_json, say
from webhook.deploy import StackResult

Commits = Annotated[
    str,
    typer.Argument(metavar="BASE..HEAD", help="Commits of the registry's repository; BASE alone means BASE..HEAD."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Preview = Annotated[bool, typer.Option(help="Ask the engine what it would do on each touched cell.")]
Annotate = Annotated[
    bool, typer.Option("--annotate", envvar="GITHUB_ACTIONS", help="Also print problems as GitHub's annotations.")
]


def review(
    command: typer.Context,
    commits: Commits,
    *,
    as_json: AsJson = False,
    preview: Preview = True,
    annotate: Annotate = False,
) -> None:
    """Tell what differs between two versions of the registry: customers, revenue, cells, interruptions, risk.

    Exit code 0: it can be applied. 1: it is refused. Nothing is changed.
    """
    context = context_of(command)
    found = read_versions(context, commits)
    judged = judge(context, found)
    results, no_preview = _previews(context, found, judged) if preview else ({}, "it was not wanted (--no-preview)")
    report = Report(
        base=found.base, head=found.head, file=found.file, review=judged, previews=results, no_preview=no_preview
    )
    if as_json:
        print_json(as_data(report))
    else:
        sys.stdout.write(markdown(report))
    if annotate:
        for line in github_annotations(report):
            print(line, file=sys.stderr)  # noqa: T201 - rich would colour it
    if not judged.sound:
        raise typer.Exit(1)


def read_versions(context: Context, commits: str) -> Versions:
    """Return the environment's registry at two commits.

    Raises:
        typer.BadParameter: they can't be had.
    """
    try:
        return versions(context.registry_file, commits)
    except RangeError as error:
        raise typer.BadParameter(str(error)) from None


def judge(context: Context, found: Versions) -> Review:
    """Return what differs between the two versions."""
    try:
        new = found.new_text()
    except RegistryError as error:
        return refused(error.problems)
    settings = context.settings
    return review_texts(found.old_text(), new, cells=settings.cells, domain=settings.domain, today=today())


def _previews(context: Context, found: Versions, judged: Review) -> tuple[dict[str, StackResult], str | None]:
    """Return what the engine would do on each touched cell, or why it was not asked."""
    cells = [each.name for each in judged.cells]
    if not judged.sound or not cells:
        return {}, "there is nothing to preview"
    with TemporaryDirectory(prefix="hosting-review-") as folder:
        registry = Path(folder) / "customers.yaml"
        registry.write_text(found.new_text(), encoding="utf-8")
        try:
            results = context.deployer(say).preview(cells, platform=False, registry=registry)
        except Exception as error:  # noqa: BLE001 - whatever keeps the engine from it, the review stands without it
            return {}, f"it can't run: {error}"
    return dict(zip(cells, results, strict=True)), None
