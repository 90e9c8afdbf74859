client.batches.cancel(name=batch_job_to_cancel.name)
