client.batches.delete(name=batch_job_to_delete.name)
