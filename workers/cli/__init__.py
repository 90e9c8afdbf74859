"""The program's entry point: the receiver's commands, and those that need the workers' side."""

import receiver.cli.batches.cancel
import receiver.cli.batches.delete
import receiver.cli.batches.list
import receiver.cli.batches.show
import receiver.cli.batches.submissions
import receiver.cli.batches.submit
import receiver.cli.batches.watch
import receiver.cli.doctor
import receiver.cli.events
import receiver.cli.notices
import receiver.cli.notices_send
import receiver.cli.proof_key
import receiver.cli.reconcile
import receiver.cli.replay
import receiver.cli.serve
import receiver.cli.status
import receiver.cli.webhooks  # noqa: F401 - each adds its commands
from receiver.cli.group import cli
from workers.cli import resubmit, results, verify, worker  # noqa: F401 - so do these

main = cli
