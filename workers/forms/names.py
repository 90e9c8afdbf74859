"""Where the forms of an answer lie: beside its raw line, in a folder that no template can make.

`abc/k1.json` has its text in `abc/_text/k1.txt`, that of a further candidate 1 in `abc/_text/_candidate-1/k1.txt`, and
its second picture in `abc/_media/k1.2.png`; the group `abc/de.jsonl` has the texts of its answers in
`abc/_text/de.jsonl`. Two raw names never share a name of a form: within
a folder all of them end alike, so that nothing but this ending is replaced.
"""

from receiver.outputs.forms import Form
from receiver.outputs.name_codec import encode_component
from receiver.outputs.paths import Template, batch_folder, unkeyed_name

RAW_ENDING = ".json"  # of our own folders, whatever the template
OWN_FOLDERS = ("_unkeyed", "_unmatched")


class FormNames:
    """Names the forms of one batch."""

    def __init__(self, batch_id: str, template: Template) -> None:
        self.groups = template.groups
        self._batch_id, self._ending, self._capitals = batch_id, template.ending, template.capitals

    def name(self, form: Form, raw: str, extension: str, candidate: int | None = None) -> str:
        """The object of a form; `extension` with its dot. Many answers share it when many share the raw one.

        `candidate` is the number of one beside the candidate that decides.
        """
        folder, slash, last = raw.rpartition("/")
        if not self.groups:
            own = folder.rpartition("/")[2] in OWN_FOLDERS
            last = last.removesuffix(RAW_ENDING if own else self._ending) + extension
            if candidate is not None:
                last = f"_candidate-{candidate}/{last}"
        return f"{folder}{slash}_{form}/{last}"

    def media(self, raw: str, number: int, key: str | None, part: int, extension: str) -> str:
        """The object of one picture or sound: each has its own, also where answers share theirs."""
        if self.groups and key is not None:
            return f"{batch_folder(self._batch_id)}/_media/{encode_component(key, self._capitals)}.{part}{extension}"
        if self.groups:
            raw = unkeyed_name(self._batch_id, number, groups=False)
        folder, slash, last = raw.rpartition("/")
        own = folder.rpartition("/")[2] in OWN_FOLDERS
        stem = last.removesuffix(RAW_ENDING if own else self._ending)
        return f"{folder}{slash}_media/{stem}.{part}{extension}"
