"""Rows out: the table that a submission was made of, with an answer in each row."""
