"""Names the forms of an answer: they lie beside its raw line, in a folder that no template makes.

`abc/k1.json` has its text in `abc/_text/k1.txt`, that of a further candidate 1 in
`abc/_text/_candidate-1/k1.txt`, and its second image in `abc/_media/k1.2.png`. The group
`abc/de.jsonl` has the texts of its answers in `abc/_text/de.jsonl`. Two raw names never share the
name of a form: within a folder all have the same extension, and only that is replaced.
"""

from receiver.outputs.forms import Form
from receiver.outputs.name_codec import encode_component
from receiver.outputs.paths import Template, batch_folder, unkeyed_name

RAW_ENDING = ".json"  # in our own folders, whatever the template
OWN_FOLDERS = ("_unkeyed", "_unmatched")


class FormNames:
    """Names the forms of one batch."""

    def __init__(self, batch_id: str, template: Template) -> None:
        self.groups = template.groups
        self._batch_id, self._ending, self._capitals = batch_id, template.ending, template.capitals

    def name(self, form: Form, raw: str, extension: str, candidate: int | None = None) -> str:
        """The object of a form; `extension` with its dot. Answers that share a raw object share it.

        `candidate` is the number of a candidate other than the one that decides.
        """
        folder, slash, last = raw.rpartition("/")
        if not self.groups:
            last = self._stem(folder, last) + extension
            if candidate is not None:
                last = f"_candidate-{candidate}/{last}"
        return f"{folder}{slash}_{form}/{last}"

    def media(self, raw: str, number: int, key: str | None, part: int, extension: str) -> str:
        """The object of one image or sound: each has its own, also where answers share theirs."""
        if self.groups and key is not None:
            stem = encode_component(key, self._capitals)
            return f"{batch_folder(self._batch_id)}/_media/{stem}.{part}{extension}"
        if self.groups:
            raw = unkeyed_name(self._batch_id, number, groups=False)
        folder, slash, last = raw.rpartition("/")
        return f"{folder}{slash}_media/{self._stem(folder, last)}.{part}{extension}"

    def _stem(self, folder: str, last: str) -> str:
        """The last part of a raw name without its extension."""
        is_own = folder.rpartition("/")[2] in OWN_FOLDERS
        return last.removesuffix(RAW_ENDING if is_own else self._ending)
