"""The parts of one attempt at one batch; `workers.process` puts them together."""
