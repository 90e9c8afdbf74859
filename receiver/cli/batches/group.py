"""`batches`: the group; its commands have a file each."""

from receiver.cli.group import Group, cli


@cli.group(cls=Group)
def batches() -> None:
    """Submit, list, show, watch, cancel and delete batches, and print their results."""
