"""What the names of a batch are made with: as its manifest tells it, or as its storage allows."""

from dataclasses import dataclass

import msgspec

from receiver.errors import LayoutError, ManifestError
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.name_codec import Capitals
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


def stored_capitals(manifest: Manifest) -> Capitals:
    """How the names of a stored batch hold capitals."""
    return "encoded" if manifest.capitals is msgspec.UNSET else manifest.capitals


def choose_capitals(replaced: bytes | None, *, tells_case_apart: bool) -> Capitals:
    """How the names of a batch that is about to be written hold capitals.

    `replaced` is the manifest that it takes the place of: where that encoded capitals, they stay
    encoded, so that the outputs are overwritten under their names.
    """
    if replaced is not None and _are_encoded(replaced):
        return "encoded"
    return "kept" if tells_case_apart else "encoded"


def _are_encoded(manifest: bytes) -> bool:
    try:
        return stored_capitals(read_manifest(manifest)) == "encoded"
    except ManifestError:
        return False


def read_naming(manifest: Manifest) -> Naming:
    """The template of a stored batch, as far as its manifest tells it."""
    ours = manifest.rules is not msgspec.UNSET  # else written by a version that told less
    pattern = None if manifest.key_pattern is msgspec.UNSET else manifest.key_pattern
    if not ours and manifest.unmatched is not msgspec.UNSET:
        return Naming(DEFAULT, unknown="its manifest does not tell KEY_PATTERN")
    try:
        template = Template.parse(manifest.template, pattern, stored_capitals(manifest))
    except LayoutError as error:
        words = f"its template is refused today: {error}"
        return Naming(DEFAULT, off=words) if ours else Naming(DEFAULT, unknown=words)
    if not ours and template.meta_values(None):
        return Naming(
            template, unknown="its manifest does not tell the metadata that its template takes"
        )
    return Naming(template)
