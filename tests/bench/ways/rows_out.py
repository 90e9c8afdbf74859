"""Ours: the export of a submission, as `submissions export` and the workers make it."""

import json
import sys
from pathlib import Path

from receiver.outputs.prices import default_prices
from receiver.rows.keeping import read_rows_record
from receiver.storage import LocalStorage
from receiver.submissions.records import SubmissionRecords
from workers.export.export import ExportJob
from workers.export.filters import OutcomeFilter


def main(outputs: str, submission: str, folder: str) -> None:
    storage, scratch = LocalStorage(Path(outputs)), Path(folder) / "scratch"
    scratch.mkdir()
    manifest = SubmissionRecords(storage, submission).read_manifest()
    if manifest is None:
        raise SystemExit(f"{outputs} has no {submission}")
    record = read_rows_record(storage, submission)
    job = ExportJob(storage, default_prices(), manifest, record, scratch)
    exported = job.run(Path(folder) / "answers.parquet", "parquet", OutcomeFilter())
    sys.stdout.write(json.dumps({"rows": exported.written}))


if __name__ == "__main__":
    main(*sys.argv[1:])
