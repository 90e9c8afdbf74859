"""The command line: one table of its commands. Results go to stdout, all else to stderr."""

import click

from receiver.cli.lazy_group import LazyGroup


def _require_name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty: name a file, or none to read no file")
    return value


_submissions = LazyGroup(
    "submissions",
    {
        "cancel": "receiver.cli.submissions.orders:cancel_submissions",
        "export": "workers.cli.export_submission:export",
        "list": "receiver.cli.submissions.list:list_all",
        "pause": "receiver.cli.submissions.orders:pause_submissions",
        "queue": "receiver.cli.submissions.queue:show_queue",
        "resume": "receiver.cli.submissions.orders:resume_submissions",
        "show": "receiver.cli.submissions.show:show_submission",
        "verify": "workers.cli.verify_submission:verify",
        "watch": "receiver.cli.submissions.watch:watch_submissions",
    },
    help="List, follow, steer, verify and export submissions.",
)
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
        # its former place
        "submissions": LazyGroup("submissions", _submissions.lazy, hidden=True),
        "submit": "receiver.cli.batches.submit:submit",
        "watch": "receiver.cli.batches.watch:watch_command",
    },
    help="Submit, list, show, watch, cancel and delete batches.",
)
_inbox = LazyGroup(
    "inbox",
    {
        "bury": "receiver.cli.inbox_actions:bury_batches",
        "deliveries": "receiver.cli.inbox:list_deliveries",
        "delivery": "receiver.cli.inbox_delivery:show_delivery",
        "list": "receiver.cli.inbox:list_batches",
        "pause": "receiver.cli.inbox_pause:pause_projects",
        "purge": "receiver.cli.inbox_actions:purge_batches",
        "resume": "receiver.cli.inbox_pause:resume_projects",
        "retry": "receiver.cli.inbox_actions:retry_batches",
        "show": "receiver.cli.inbox:show_batch",
    },
    help="List, show, retry, bury and purge batches; pause projects.",
)
_notices = LazyGroup(
    "notices",
    {
        "keys": "receiver.cli.notices_keys:print_keys",
        "list": "receiver.cli.notices:list_notices",
        "purge": "receiver.cli.notices:purge_notices",
        "replay": "receiver.cli.notices_send:replay_notices",
        "retry": "receiver.cli.notices:retry_notices",
        "send": "receiver.cli.notices_send:send_notices",
        "show": "receiver.cli.notices:show_notice",
        "test": "receiver.cli.notices_send:try_targets",
    },
    help="List, show, retry, purge, replay, send and test notices.",
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
    help="Register, list, check, change and delete webhooks at Gemini.",
)
main = LazyGroup(
    "gemini-batch-receiver",
    {
        "batches": _batches,
        "doctor": "receiver.cli.doctor:doctor",
        "events": LazyGroup("events", _inbox.lazy, hidden=True),  # its former name
        "inbox": _inbox,
        "init": "receiver.cli.init:init",
        "notices": _notices,
        "proof-key": "workers.cli.verify:proof_key",
        "reconcile": "receiver.cli.reconcile:reconcile_command",
        "replay": "receiver.cli.replay:replay_command",
        "resubmit": "workers.cli.resubmit:resubmit",
        "serve": "receiver.cli.serve:serve",
        "settings": "receiver.cli.settings:list_settings",
        "status": "receiver.cli.status:status",
        "submissions": _submissions,
        "up": "receiver.cli.up:up",
        "verify": "workers.cli.verify:verify",
        "webhooks": _webhooks,
        "worker": "workers.cli.worker:worker",
    },
    help="Receive Gemini batch webhooks, store the results, and find what was missed.",
    epilog="`gemini-batch-receiver settings` lists every setting.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    params=[
        # `receiver.cli.command` reads the file, since that takes longer than `--version`
        click.Option(
            ["--env-file"],
            metavar="PATH",
            envvar="RECEIVER_ENV_FILE",
            show_envvar=True,
            callback=_require_name,
            help="Read settings that the environment lacks from this file; `none` reads no file."
            "  [default: .env in the working folder, if it is there]",
        ),
        # for the commands that a worker starts
        click.Option(["--log-errors"], is_flag=True, hidden=True),
    ],
)
main = click.version_option(package_name="gemini-batch-receiver")(main)
