"""Every fault is an option of `serve`, a member of the admin route, and a row of its page."""

import json
import re
from collections.abc import Callable

import click
import msgspec
import pytest
from click.testing import CliRunner

from deploy.sandbox.__main__ import main
from deploy.sandbox.faults.fault_options import FAULT_OPTIONS, FaultOption, read_faults
from deploy.sandbox.faults.faults import CutFault, Faults, StatusFault
from tests.pages import section
from tests.sandbox.conftest import Sandbox

HELP = CliRunner().invoke(main, ["serve", "--help"]).output


def test_every_fault_has_an_option() -> None:
    assert tuple(FAULT_OPTIONS) == Faults.__struct_fields__


@pytest.mark.parametrize("fault", FAULT_OPTIONS.values(), ids=lambda fault: fault.name)
def test_fault_is_in_help_and_pages(fault: FaultOption) -> None:
    assert f"  {fault.flag} " in HELP.partition("Faults:")[2]
    written = f"{fault.flag} {fault.form}".replace("|", "\\|")
    assert f"| `{written}` | {fault.meaning} |" in section("## Test your own receiver")


def test_objects_of_the_page_can_be_set() -> None:
    table = section("### Faults").partition("| faults | object |\n|---|---|\n")[2]
    faults, shown = Faults(), set[str]()
    for row in table.partition("\n\n")[0].splitlines():
        _, names, written, _ = row.split("|")
        value = json.loads(written.strip().strip("`"))
        for name in re.findall(r"\w+", names):
            faults.set({name: value})
            assert msgspec.to_builtins(getattr(faults, name)) == value
            shown.add(name)
    assert shown == {name for name, option in FAULT_OPTIONS.items() if "[," in option.form}


def test_options_are_read_as_the_route_reads_them() -> None:
    texts = {
        "late_output": "2",
        "drop_deliveries": "all",
        "delay_deliveries_s": "0.5",
        "event_id": "batch_",
    }
    texts |= {"cut_download_after": "100", "get_status": "503,times=all,retry_after=2"}
    faults = read_faults({**texts, "jwt_audience": None})
    assert (faults.late_output, faults.drop_deliveries, faults.delay_deliveries_s) == (
        2,
        "all",
        0.5,
    )
    assert (faults.event_id, faults.jwt_audience) == ("batch_", None)
    assert faults.cut_download_after == CutFault(100)
    assert faults.get_status == StatusFault(503, "all", 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("late_output", "some"),
        ("output_in", "nowhere"),
        ("get_status", "x"),
        ("get_status", "503,2"),
        ("get_status", "503,colour=red"),
        ("delay_deliveries_s", ""),
    ],
)
def test_wrong_option_is_refused(name: str, text: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        read_faults({name: text})
    assert refused.value.param_hint == FAULT_OPTIONS[name].flag


def test_options_turn_fault_options_until_they_are_set(
    start_sandbox: Callable[..., Sandbox],
) -> None:
    sandbox = start_sandbox(
        "--late-output", "all", "--redirect-downloads", "http://127.0.0.1:9,times=2"
    )
    sandbox.fault(late_output=0, drop_deliveries=1)
    shown = sandbox.ask("GET", "/sandbox/faults")
    assert (shown["late_output"], shown["redirect_downloads"]) == (
        0,
        {"to": "http://127.0.0.1:9", "times": 2},
    )
    sandbox.ask("DELETE", "/sandbox/faults")
    shown = sandbox.ask("GET", "/sandbox/faults")
    assert (shown["late_output"], shown["drop_deliveries"]) == ("all", 0)
