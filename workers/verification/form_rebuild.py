"""Makes the forms of a stored batch again from its lines, and compares them."""

import gzip
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import msgspec

from receiver.outputs.forms import Form
from receiver.outputs.manifest import FormsRecord, Manifest, Naming
from receiver.outputs.paths import Template, forms_name
from workers.forms.forms import Forms, schema_sha256
from workers.forms.writers import BatchFacts
from workers.results.rules import RULES
from workers.verification.findings import Discrepancy, VerifyReport
from workers.verification.rebuild_sinks import NullStorage, shortened


@dataclass(frozen=True)
class _FormOptions:
    template: Template
    forms: tuple[Form, ...]
    response_schema: dict[str, Any] | None


class FormRebuild:
    """`open` it, pass it the lines, then `compare`.

    Tables are left out: their bytes depend on the library that wrote them.
    """

    def __init__(
        self,
        manifest: Manifest,
        naming: Naming,
        schema: dict[str, Any] | None,
        scratch: Path,
        report: VerifyReport,
    ) -> None:
        """`schema` is RESPONSE_SCHEMA; `scratch` holds the index of the forms as it is stored."""
        self._manifest, self._naming, self._report = manifest, naming, report
        self._stored, self._made = scratch / "forms", scratch / "rebuild" / "forms" / "index"
        self._schema = schema
        self._forms = tuple(self._choose())

    def _choose(self) -> Iterator[Form]:
        """The forms that can be made again."""
        record = self._manifest.forms
        if not isinstance(record, FormsRecord) or self._naming.unknown is not None:
            return
        known = self._manifest.rules is not msgspec.UNSET
        if record.schema is msgspec.UNSET:
            self._schema = None
        elif self._schema is None or schema_sha256(self._schema) != record.schema:
            known = False
        for form in get_args(Form):
            if form not in record.objects or form == "table":
                continue
            if form == "json" and not known:
                words = "RESPONSE_SCHEMA may be another than it was made with"
                self._report.note(f"the content of the form json: {words}")
            else:
                yield form

    def open(self, scratch: Path) -> AbstractContextManager[Forms | None]:
        """What takes the lines; None when no form can be made again."""
        if not self._forms:
            return nullcontext()
        options = _FormOptions(self._naming.template, self._forms, self._schema)
        return Forms(
            options,
            BatchFacts(self._manifest.batch),
            NullStorage(),
            lambda: None,
            scratch,
        )

    def compare(self) -> None:
        """Call it after all lines, where today's rules give the same outcomes."""
        if not self._forms:
            return
        name = forms_name(self._manifest.batch)
        for stored, made in zip_longest(self._rows(self._stored), self._rows(self._made)):
            if stored == made:
                continue
            words = f"it has the row {shortened(stored)}, the lines give {shortened(made)}"
            if self._manifest.rules != RULES:
                self._report.note(f"the content of the forms: other rules made them; {words}")
                return
            line = (stored or made).get("line")
            self._report.add([Discrepancy(name, line, words)])

    def _rows(self, path: Path) -> Iterator[dict[str, Any]]:
        """The rows that can be compared, without the texts of errors, which may change."""
        with gzip.open(path, "rb") as lines:
            for line in lines:
                row = json.loads(line)
                if row["form"] in self._forms:
                    row.pop("error", None)
                    yield row
