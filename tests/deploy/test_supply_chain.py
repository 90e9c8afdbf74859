"""One version, one set of pins, one list of licences."""

import ast
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.reading import DEPLOY, ROOT, read_yaml
from tests.pages import section

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PYPROJECT["project"]["version"]


def pins() -> dict[str, str]:
    lines = [
        line.partition("#")[0].strip()
        for line in (ROOT / "requirements.txt").read_text().splitlines()
    ]
    pairs = [line.partition(";")[0].split("==") for line in lines if line and line[0] != "."]
    return {str(canonicalize_name(name)): pinned for name, pinned in pairs}


def is_needed(requirement: Requirement) -> bool:
    """Here, or on the oldest Python that the project takes."""
    oldest = {"python_full_version": "3.11.0", "python_version": "3.11"}
    return requirement.marker is None or any(
        requirement.marker.evaluate({"extra": "", **on}) for on in ({}, oldest)
    )


def needed(names: list[str], seen: set[str]) -> Iterator[str]:
    """The packages that these need, and what the pinned ones of those need that are installed here."""
    for text in names:
        requirement = Requirement(text)
        name = str(canonicalize_name(requirement.name))
        if name not in seen and is_needed(requirement):
            seen.add(name)
            yield name
            with suppress(PackageNotFoundError):
                yield from needed(
                    (requires(name) or []) if pins().get(name) == version(name) else [], seen
                )


def installed() -> list[str]:
    """What `requirements.txt` asks for: the project with the extras of every documented form."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    shipped = ("isal", "parquet", "schema")
    needs = PYPROJECT["project"]["dependencies"]
    return [*needs, *(text for name in shipped for text in extras[name])]


def test_all_that_runs_is_pinned() -> None:
    found = set(needed(installed(), set()))
    assert len(found) > 15
    assert found <= pins().keys()


def test_pins_are_what_the_project_asks_for() -> None:
    for text in installed():
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins()[str(canonicalize_name(requirement.name))]), (
            text
        )


def test_requirements_install_the_project_too() -> None:
    """Heroku, Render and the image install nothing else, and every documented form works there."""
    (asked,) = re.findall(r"^\.(\S*)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert asked == "[isal,parquet,schema]"
    assert {"isal", "pyarrow", "jsonschema"} <= pins().keys()


def test_licences_are_those_of_the_pins() -> None:
    rows = [
        line.split("|")
        for line in (DEPLOY / "LICENSES.md").read_text().splitlines()
        if line.startswith("|")
    ]
    listed = {
        str(canonicalize_name(name.strip())): version.strip() for _, name, version, *_ in rows[2:]
    }
    assert listed == pins()
    assert [name for _, name, _, licence, _ in rows if licence.strip() in {"", "UNKNOWN"}] == []


def names_of(requirements: list[str]) -> set[str]:
    return {str(canonicalize_name(Requirement(text).name)) for text in requirements}


def test_page_says_why_each_dependency_is_there() -> None:
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", section("## Dependencies"), re.MULTILINE)
    assert [name for name, _ in rows] == sorted(names_of(installed()))
    assert [name for name, why in rows if len(why.split()) < 2] == []


def test_every_dependency_but_those_of_extras_is_imported() -> None:
    paths = [path for folder in ("receiver", "workers") for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    packages = packages_distributions()
    imported = {one for name in modules for one in packages.get(name.partition(".")[0], [])}
    assert names_of(PYPROJECT["project"]["dependencies"]) <= names_of(list(imported))


def test_version_has_one_source() -> None:
    newest = re.search(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION
    (image,) = read_yaml("kubernetes/kustomization.yaml")["images"]
    assert image["newTag"] == VERSION
    for name in ("web", "worker"):
        (container,) = read_yaml(f"cloudrun/{name}.yaml")["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f":{VERSION}")


def test_wheel_holds_what_runs_alone() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {
        "packages": ["receiver", "workers"],
        "exclude": ["*.md", "receiver/status/pictures"],
    }


def test_no_secret_is_in_the_files() -> None:
    shapes = re.compile(
        r"whsec_[A-Za-z0-9+/=]{8}|AIza[\w-]{10}|AKIA[A-Z0-9]{8}|redis://[^\s/]*:[^\s@]+@"
    )
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and "sandbox" not in path.parts]
    found = [
        path.name
        for path in files
        if path.suffix != ".pyc" and shapes.search(Path(path).read_text())
    ]
    assert found == []
