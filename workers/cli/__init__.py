"""The program's entry point: the receiver's commands, and those that need the workers' side."""

from receiver.cli import (  # noqa: F401 - they add their commands to the group
    batches_cancel,
    batches_delete,
    batches_list,
    batches_show,
    batches_watch,
    doctor,
    events,
    notices,
    notices_send,
    proof_key,
    reconcile,
    replay,
    serve,
    status,
    submissions,
    submit,
    webhooks,
)
from receiver.cli.group import cli
from workers.cli import resubmit, results, verify, worker  # noqa: F401 - so do these

main = cli
