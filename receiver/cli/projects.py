"""Which projects a command goes through, and to which one a batch belongs."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from receiver.batch_names import BatchName
from receiver.errors import ReceiverError
from receiver.settings.projects import DEFAULT, Project
from receiver.settings.settings import Settings

T = TypeVar("T")

project_option = click.option(
    "--project",
    "label",
    metavar="NAME",
    help="Only this Gemini project; `default` is the one without a suffix.",
)


def project_of(label: str | None) -> str | None:
    """The name of the project that `--project` says; None for all of them."""
    return "" if label == DEFAULT else label


def choose_projects(settings: Settings, label: str | None) -> list[Project]:
    """The projects to go through. Raises UsageError when there is none of this name."""
    projects = list(settings.projects.values())
    chosen = [project for project in projects if label in (None, project.label)]
    if not chosen:
        known = ", ".join(project.label for project in projects)
        raise click.UsageError(f"no project is called {label} here: expected one of {known}")
    return chosen


def projects_of(settings: Settings, names: Sequence[str]) -> list[Project]:
    """The projects of these batches. Raises UsageError when one of them is not known here."""
    stated = {BatchName.read(name).project for name in names}
    if unknown := sorted(stated - set(settings.projects)):
        known = ", ".join(project.label for project in settings.projects.values())
        raise click.UsageError(
            f"no project is called {unknown[0] or DEFAULT} here: expected one of {known}"
        )
    return [project for project in settings.projects.values() if project.name in stated]


def names_of(project: Project, names: Sequence[str]) -> list[str]:
    """Those of the batches that are this project's."""
    return [name for name in names if BatchName.read(name).project == project.name]


def go_through(
    projects: Sequence[Project], work: Callable[[Project], T]
) -> tuple[list[T], list[str]]:
    """What `work` gave for each project, and the messages of the failures.

    The failure of one project does not stop the others.
    """
    results, failures = list[T](), list[str]()
    for project in projects:
        try:
            results.append(work(project))
        except ReceiverError as error:
            failures.append(f"{project.label}: {error}" if len(projects) > 1 else str(error))
    return results, failures


def end_with(failures: Sequence[str]) -> None:
    """Print the failures and exit with code 1, if there are any."""
    if failures:
        raise click.ClickException("\n".join(failures))


def read_project(settings: Settings, label: str | None) -> Project:
    """The project of `--project`, else the only one, else the default one."""
    if label is None and len(settings.projects) == 1:
        return next(iter(settings.projects.values()))
    (chosen,) = choose_projects(settings, label or DEFAULT)
    return chosen
