"""The bytes of a result file, resumed and proven."""
