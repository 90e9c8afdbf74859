"""The command line: one table of its commands. Results go to stdout, chatter to stderr."""

import click

from receiver.cli.lazy_group import LazyGroup

_batches = LazyGroup(
    "batches",
    {
        "cancel": "receiver.cli.batches.cancel:cancel_command",
        "delete": "receiver.cli.batches.delete:delete_command",
        "errors": "workers.cli.errors:errors",
        "list": "receiver.cli.batches.list:list_command",
        "merged": "workers.cli.resubmit:merged",
        "results": "workers.cli.results:results",
        "show": "receiver.cli.batches.show:show",
        "submissions": "receiver.cli.batches.submissions:submissions",
        "submit": "receiver.cli.batches.submit:submit",
        "watch": "receiver.cli.batches.watch:watch_command",
    },
    help="Submit, list, show, watch, cancel and delete batches, and print their results.",
)
_events = LazyGroup(
    "events",
    {
        "bury": "receiver.cli.events:bury_events",
        "list": "receiver.cli.events:list_events",
        "purge": "receiver.cli.events:purge_events",
        "retry": "receiver.cli.events:retry_events",
        "show": "receiver.cli.events:show_event",
    },
    help="List, show, retry and purge the batches and deliveries that the inbox knows.",
)
_notices = LazyGroup(
    "notices",
    {
        "list": "receiver.cli.notices:list_notices",
        "purge": "receiver.cli.notices:purge_notices",
        "replay": "receiver.cli.notices_send:replay_notices",
        "retry": "receiver.cli.notices:retry_notices",
        "send": "receiver.cli.notices_send:send_notices",
        "show": "receiver.cli.notices:show_notice",
        "test": "receiver.cli.notices_send:try_targets",
    },
    help="List, show, retry, purge, replay, send and test the notices that others are owed.",
)
_webhooks = LazyGroup(
    "webhooks",
    {
        "create": "receiver.cli.webhooks.new_secrets:create_webhook",
        "delete": "receiver.cli.webhooks.registered:delete_webhook",
        "doctor": "receiver.cli.webhooks.doctor:doctor_webhooks",
        "list": "receiver.cli.webhooks.registered:list_webhooks",
        "ping": "receiver.cli.webhooks.registered:ping_webhook",
        "rotate": "receiver.cli.webhooks.new_secrets:rotate_webhook",
        "show": "receiver.cli.webhooks.registered:show_webhook",
        "update": "receiver.cli.webhooks.registered:update_webhook",
    },
    help="Register the web process with Gemini, and keep what is registered right.",
)
main = LazyGroup(
    "gemini-batch-receiver",
    {
        "batches": _batches,
        "doctor": "receiver.cli.doctor:doctor",
        "events": _events,
        "notices": _notices,
        "proof-key": "receiver.cli.proof_key:proof_key",
        "reconcile": "receiver.cli.reconcile:reconcile_command",
        "replay": "receiver.cli.replay:replay_command",
        "resubmit": "workers.cli.resubmit:resubmit",
        "serve": "receiver.cli.serve:serve",
        "status": "receiver.cli.status:status",
        "verify": "workers.cli.verify:verify",
        "webhooks": _webhooks,
        "worker": "workers.cli.worker:worker",
    },
    help="Receive Gemini batch webhooks, store the results, and find what was missed.",
    help_epilog="receiver.cli.command:describe_settings",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    params=[
        # for the commands that a worker starts
        click.Option(["--log-errors"], is_flag=True, hidden=True),
    ],
)
main = click.version_option(package_name="gemini-batch-receiver")(main)
