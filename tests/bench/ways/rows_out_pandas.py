"""A script as a user would write it: `json.loads` of each line, a merge by key, `to_parquet`."""

import json
import sys
from pathlib import Path

import pandas as pd


def main(table: str, results: str, folder: str) -> None:
    answers = []
    with Path(results).open() as lines:
        for line in lines:
            result = json.loads(line)
            response = result["response"]
            answers.append(
                {
                    "id": result["key"],
                    "answer": response["candidates"][0]["content"]["parts"][0]["text"],
                    "tokens": response["usageMetadata"]["totalTokenCount"],
                }
            )
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    merged = frame.merge(pd.DataFrame(answers), on="id", how="left")
    merged.to_parquet(Path(folder) / "answers.parquet")
    sys.stdout.write(json.dumps({"rows": len(merged)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
