"""Raw lines into one file a group by DuckDB, on all cores: no line is read as JSON, nothing is hashed."""

import sys

import duckdb

PARTITION = r"""
COPY (
    SELECT line, regexp_extract(line, '"key":"(g\d+)-', 1) AS "group"
    FROM read_csv(
        $source, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false,
        delim = '\x01', quote = '', escape = '', max_line_size = 67108864
    )
) TO '$folder' (FORMAT csv, PARTITION_BY ("group"), HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\x01')
"""


def main(source: str, folder: str) -> None:
    quoted = "'" + source.replace("'", "''") + "'"
    duckdb.execute(
        PARTITION.replace("$source", quoted).replace("$folder", folder.replace("'", "''"))
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
