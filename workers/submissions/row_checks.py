"""Checks the table of a submission: that it is whole, and that each row has one answer."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from receiver.errors import ExportError
from receiver.rows.keeping import read_rows_record, record_object
from receiver.rows.plan import RowsRecord
from receiver.storage import Storage
from receiver.submissions.proof import RowsProof
from workers.export.joined_rows import read_keys, read_reused
from workers.submissions.submission_checks import Claims
from workers.verification.findings import Discrepancy
from workers.verification.record_checks import check_digest


def check_rows(claims: Claims, scratch: Path) -> Iterator[Discrepancy]:
    """The table and the keys of its rows are those of the manifest, and the rows add up.

    Raises StorageError.
    """
    proof = claims.manifest.rows
    if proof is None:
        if claims.is_of_table:
            yield claims.differ("it lacks the rows of the table that the requests were made of")
        return
    name = record_object(claims.submission.id)
    off = [
        one
        for record in proof.objects
        for one in check_digest(claims.storage, record.name, record.sha256)
    ]
    yield from off
    try:
        record = read_rows_record(claims.storage, claims.submission.id)
        if record is None:
            yield Discrepancy(name, None, "it is not there: the record of the table")
        elif record.table.sha256 != claims.submission.spec.table_sha256:
            yield Discrepancy(name, None, "it names another table than the plan")
        elif not off:
            yield from _check_counts(claims, proof, record, scratch)
    except ExportError as error:
        yield Discrepancy(name, None, str(error))


def _check_counts(
    claims: Claims, proof: RowsProof, record: RowsRecord, scratch: Path
) -> Iterator[Discrepancy]:
    counted = _count_rows(claims.storage, record, scratch)
    for name, found in msgspec.structs.asdict(counted).items():
        said = getattr(proof, name)
        if said != found:
            yield claims.differ(f"it says {said!r} as {name} of rows, where {found!r} was found")
    if proof.rows != proof.requests + proof.copied + proof.reused:
        yield claims.differ("its rows are not the sum of requests, copied and reused ones")
    if proof.requests != claims.manifest.requests:
        yield claims.differ("its rows ask another number of requests than were sent")


class _Counted(msgspec.Struct):
    """What the keys of the rows say; fields of `RowsProof`."""

    rows: int = 0
    requests: int = 0
    copied: int = 0
    reused: int = 0
    copied_from: dict[str, int] = {}
    keys_sha256: str = ""


def _count_rows(storage: Storage, record: RowsRecord, scratch: Path) -> _Counted:
    found, digest = _Counted(), hashlib.sha256()
    path = scratch / "keys of rows"
    storage.read_to_file(record.keys.name, path)
    for row in read_keys(path):
        digest.update(msgspec.json.encode(row.key) + b"\n")
        found.rows += 1
        found.copied += row.asked_as is not None
        found.reused += row.is_reused
        found.requests += row.asked_as is None and not row.is_reused
    if record.reused is not None:
        storage.read_to_file(record.reused.name, path)
        batches = Counter(row.batch for row in read_reused(path) if row.batch is not None)
        found.copied_from = dict(batches)
    found.keys_sha256 = digest.hexdigest()
    return found
