"""One object a line with boto3 from a pool of threads, as its users do: `json.loads` for the key, then `put_object`."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore

import boto3
from botocore.config import Config

WAITING_LINES = 1000


def main(source: str, bucket: str, prefix: str, threads: str) -> None:
    client = boto3.client("s3", config=Config(max_pool_connections=int(threads)))
    places = BoundedSemaphore(WAITING_LINES)

    def put(line: bytes) -> None:
        try:
            client.put_object(
                Bucket=bucket, Key=f"{prefix}/{json.loads(line)['key']}.json", Body=line
            )
        finally:
            places.release()

    def lines() -> Iterator[bytes]:
        with Path(source).open("rb") as file:
            for line in file:
                places.acquire()
                yield line

    with ThreadPoolExecutor(int(threads)) as pool:
        futures = [pool.submit(put, line) for line in lines()]
    for future in futures:
        future.result()
    sys.stdout.write(json.dumps({"objects": len(futures)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
