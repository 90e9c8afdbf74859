"""Workers: from a batch's name to its outputs. `workers.process` is the job."""
