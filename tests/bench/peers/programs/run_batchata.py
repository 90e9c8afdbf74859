"""batchata takes the inlined responses of an ended batch, and writes a file for each.

`run_batchata.py BATCH KEYS FOLDER`; KEYS is a JSON list of job ids in the order of the responses.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from batchata.core.batch_run import BatchRun
from batchata.core.job import Job
from batchata.providers.gemini.gemini_provider import GeminiProvider

MODEL = "gemini-2.5-flash"  # one that it knows


def main(batch: str, keys: str, folder: str) -> None:
    provider = GeminiProvider()
    jobs = {
        key: Job(id=key, model=MODEL, prompt="Sum it up.")
        for key in json.loads(Path(keys).read_text())
    }
    provider._batches[batch] = {"job_mapping": jobs}  # noqa: SLF001 - as its create_batch leaves it
    status, error = provider.get_batch_status(batch)
    if status != "complete":
        raise SystemExit(f"{status}: {error}")
    run = SimpleNamespace(results_dir=Path(folder))
    results = provider.get_batch_results(batch, jobs)
    for result in results:
        BatchRun._save_result_to_file(run, result)  # noqa: SLF001 - its run does so
    sys.stdout.write(json.dumps({"results": sum(result.is_success for result in results)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
