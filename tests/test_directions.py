"""Who may import whom. README.md's folder map says what each folder is for."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the ground up: a folder or loose module imports what stands above it here, and itself.
LAYERS = (
    "receiver.errors",
    "receiver.retry",
    "receiver.tolerant_json",
    "receiver.batch_names",
    "receiver.network",
    "receiver.http",
    "receiver.telemetry",
    "receiver.verification",
    "receiver.outputs",
    "receiver.storage",
    "receiver.answers",
    "receiver.settings",
    "receiver.inbox",
    "receiver.gemini",
    "receiver.notices",
    "receiver.submissions",
    "receiver.rows",
    "receiver.recovery",
    "receiver.probe",
    "receiver.telemetry.metrics",
    "receiver.status",
    "receiver.api",
    "receiver.web",
    "receiver.service",
    "receiver.cli",
    "receiver.cli.submissions",
    "receiver.cli.batches",
    "receiver.cli.webhooks",
    "workers.download",
    "workers.results",
    "workers.store",
    "workers.forms",
    "workers.export",
    "workers.job",
    "workers.process",
    "workers.verification",
    "workers.submissions",
    "workers.advance",
    "workers.worker",
    "workers.cli",
)
LEAVES = ("receiver.web", "receiver.api", "receiver.status", "receiver.cli")
LOOSE = 7  # modules that lie in no folder, at most, beside `__init__` and `__main__`
PURE = {
    "receiver.telemetry.shapes",
    "receiver.probe.redaction",
    "receiver.probe.report",
    "receiver.probe.requests",
    "receiver.answers.index_rows",
    "receiver.outputs.clashes",
    "receiver.errors",
    "receiver.verification.events",
    "receiver.telemetry.metrics.exposition",
    "receiver.batch_names",
    "receiver.gemini.operations",
    "receiver.verification.jwts",
    "receiver.outputs.forms",
    "receiver.outputs.judgement",
    "receiver.outputs.paths",
    "receiver.outputs.manifest",
    "receiver.telemetry.metrics.definitions",
    "receiver.outputs.model_table",
    "receiver.outputs.models",
    "receiver.outputs.name_codec",
    "receiver.outputs.outcomes",
    "receiver.notices.overdue",
    "receiver.settings.notice_addresses",
    "receiver.settings.notice_events",
    "receiver.settings.notice_keys",
    "receiver.settings.rq_functions",
    "receiver.notices.payloads",
    "receiver.notices.slack",
    "receiver.outputs.price_table",
    "receiver.outputs.prices",
    "receiver.outputs.proof_keys",
    "receiver.gemini.registered_webhooks",
    "receiver.network.proxies",
    "receiver.retry",
    "receiver.rows.prompts",
    "receiver.service.restarts",
    "receiver.verification.signatures",
    "receiver.verification.keys",
    "receiver.status.answer_links",
    "receiver.status.charts",
    "receiver.status.content_pieces",
    "receiver.status.content_views",
    "receiver.status.shown_json",
    "receiver.status.credentials",
    "receiver.status.formatting",
    "receiver.submissions.estimates",
    "receiver.submissions.gauges",
    "receiver.submissions.policy",
    "receiver.submissions.request_sizes",
    "receiver.submissions.validation",
    "receiver.submissions.submission",
    "receiver.submissions.state",
    "receiver.submissions.decisions",
    "receiver.submissions.proof",
    "receiver.submissions.splitting",
    "receiver.submissions.notices",
    "receiver.submissions.request_cautions",
    "receiver.submissions.request_faults",
    "receiver.submissions.request_schema",
    "receiver.inbox.entry_fields",
    "receiver.outputs.templates",
    "receiver.outputs.wording",
    "receiver.tolerant_json",
    "receiver.settings.web_urls",
    "receiver.gemini.webhook_diagnosis",
    "receiver.gemini.webhook_reports",
    "workers.export.columns",
    "workers.export.filters",
    "receiver.answers.answer",
    "receiver.answers.candidates",
    "receiver.answers.reasons",
    "workers.results.cost",
    "workers.results.doubts",
    "receiver.answers.large_lines",
    "workers.results.line_cost",
    "workers.results.lines",
    "workers.results.meter",
    "receiver.answers.openai_lines",
    "workers.results.rules",
    "workers.results.parser",
    "workers.results.tolerant_parser",
    "receiver.answers.shapes",
    "workers.results.usages",
    "workers.results.utf8",
    "workers.verification.findings",
    "workers.verification.rules",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def modules_of(package: str) -> dict[str, set[str]]:
    return {module_name(path): imported_modules(path) for path in (ROOT / package).rglob("*.py")}


def imports_package(imports: set[str], package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in imports)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("receiver", ("workers", "deploy", "tests")),
        ("workers", ("deploy", "tests")),
        ("deploy", ("receiver", "workers", "tests")),
    ],
)
def test_packages_import_in_one_direction(package: str, forbidden: tuple[str, ...]) -> None:
    modules = modules_of(package)
    assert modules
    wrong = [
        (name, other)
        for name, found in modules.items()
        for other in forbidden
        if imports_package(found, other)
    ]
    assert wrong == []


def test_pure_modules_import_pure_ones() -> None:
    modules = modules_of("receiver") | modules_of("workers")
    assert set(modules) >= PURE
    packages = {
        name for name in modules if (ROOT / name.replace(".", "/")).is_dir()
    }  # these are empty
    ours = set(modules) - PURE - packages
    assert [
        (name, found & ours) for name, found in modules.items() if name in PURE and found & ours
    ] == []


def layer_of(module: str) -> str:
    """The longest entry of LAYERS that holds the module."""
    return max((one for one in LAYERS if imports_package({module}, one)), key=len, default="")


def find_edges() -> set[tuple[str, str]]:
    """Pairs of modules of which the first imports the second."""
    modules = modules_of("receiver") | modules_of("workers")
    return {
        (name, other)
        for name, found in modules.items()
        for other in found
        if other in modules and other not in {"receiver", "workers"}
    }


def test_every_module_has_a_layer() -> None:
    modules = modules_of("receiver") | modules_of("workers")
    outside = {name for name in modules if not layer_of(name)}
    assert outside == {"receiver", "workers", "workers.__main__"}
    assert {layer_of(name) for name in modules} >= set(LAYERS)


def test_folders_import_downwards() -> None:
    place = {layer: number for number, layer in enumerate(LAYERS)}
    wrong = [
        (name, other)
        for name, other in find_edges()
        if layer_of(name) and place[layer_of(other)] > place[layer_of(name)]
    ]
    assert wrong == []


def test_only_the_command_line_imports_the_leaves() -> None:
    allowed = {  # the web process serves the page and the API, which share deadlines and limits
        ("receiver.web", "receiver.status"),
        ("receiver.web", "receiver.api"),
        ("receiver.api", "receiver.status"),
    }
    wrong = [
        (name, other)
        for name, other in find_edges()
        for leaf in LEAVES
        if imports_package({other}, leaf)
        and not any(imports_package({name}, one) for one in (leaf, "receiver.cli", "workers.cli"))
        and (layer_of(name), layer_of(other)) not in allowed
        and name != "workers.__main__"
    ]
    assert wrong == []


def test_few_modules_lie_in_no_folder() -> None:
    paths = [path for package in ("receiver", "workers") for path in (ROOT / package).glob("*.py")]
    loose = [path for path in paths if not path.name.startswith("__")]
    assert 0 < len(loose) <= LOOSE


def test_no_module_imports_itself_in_a_circle() -> None:
    modules = modules_of("receiver") | modules_of("workers") | modules_of("deploy")
    edges = {
        name: {other for other in found if other in modules and other != name}
        for name, found in modules.items()
    }
    open_names, done = set[str](), set[str]()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in open_names, " -> ".join((*trail, name))
        if name not in done:
            open_names.add(name)
            for other in sorted(edges[name]):
                visit(other, (*trail, name))
            open_names.discard(name)
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


def test_one_module_imports_httpx() -> None:
    modules = modules_of("receiver") | modules_of("workers")
    importers = [name for name, found in modules.items() if imports_package(found, "httpx")]
    assert importers == ["receiver.http"]


def test_neither_process_imports_the_sdk() -> None:
    modules = modules_of("receiver") | modules_of("workers")
    assert [name for name, found in modules.items() if imports_package(found, "google")] == []
