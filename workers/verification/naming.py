"""What the names of a stored batch were made with, as far as its manifest tells it."""

from dataclasses import dataclass

import msgspec

from receiver.errors import LayoutError
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import Namer, Template

DEFAULT = Template.parse("{batch}/{key}.json")


@dataclass(frozen=True)
class Naming:
    """What the names of a batch were made with; without a reason it is known."""

    template: Template
    unknown: str | None = None  # why the names can't be made again
    off: str | None = None  # what is wrong with what the manifest says of them

    def bind(self, manifest: Manifest) -> Namer:
        return self.template.bind(
            manifest.batch,
            display_name=manifest.display_name,
            model=manifest.model,
            created=manifest.created,
            metadata=manifest.meta or None,
        )


def read_naming(manifest: Manifest) -> Naming:
    """The template of a stored batch, as far as its manifest tells it."""
    ours = manifest.rules is not msgspec.UNSET  # else written by a version that told less
    pattern = None if manifest.key_pattern is msgspec.UNSET else manifest.key_pattern
    if not ours and manifest.unmatched is not msgspec.UNSET:
        return Naming(DEFAULT, unknown="its manifest does not tell KEY_PATTERN")
    try:
        template = Template.parse(manifest.template, pattern)
    except LayoutError as error:
        words = f"its template is refused today: {error}"
        return Naming(DEFAULT, off=words) if ours else Naming(DEFAULT, unknown=words)
    if not ours and template.meta_values(None):
        return Naming(
            template, unknown="its manifest does not tell the metadata that its template takes"
        )
    return Naming(template)
