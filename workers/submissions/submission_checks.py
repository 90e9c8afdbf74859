"""Checks what the proof of a submission is made of: its records, its requests and its batches."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from receiver.errors import ManifestError, StorageError
from receiver.outputs.manifest import FormsRecord
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage
from receiver.submissions.proof import BatchProof, SubmissionManifest
from receiver.submissions.records import SubmissionRecords, requests_name
from receiver.submissions.state import PartState
from receiver.submissions.submission import Part, Submission
from workers.store.manifest import load_manifest
from workers.submissions.part_results import Reading, read_sent_lines
from workers.verification.findings import Discrepancy
from workers.verification.record_checks import check_digest, check_records

_RECORD = re.compile(
    r"(?:plan|rows|policy|command|manifest)\.json|answers\.jsonl|manifest\.[0-9a-f]{16}\.sig"
    r"|round\.[0-9]+\.json|[0-9]+\.(?:uploaded|created|kept|cancelled|overdue)\.json"
    r"|[0-9]+\.(?:creating|refused|absent|looked)\.[0-9]+\.json"
)


@dataclass(frozen=True)
class Claims:
    """What the storage says of a submission that has ended."""

    storage: Storage
    submission: Submission
    parts: tuple[Part, ...]  # of all rounds
    manifest: SubmissionManifest

    @property
    def records(self) -> SubmissionRecords:
        return SubmissionRecords(self.storage, self.submission.id)

    @property
    def states(self) -> list[PartState]:
        """Every part as it was when the submission ended."""
        proofs = {one.part: one for one in self.manifest.batches}
        return [_state_of(part, proofs.get(part.number)) for part in self.parts]

    @property
    def is_of_table(self) -> bool:
        return self.submission.spec.table_sha256 is not None

    @property
    def is_last_word(self) -> bool:
        """Whether nobody said more since it ended; else the submission may have gone on."""
        return self.manifest.ordered_at == self.records.read_order().at

    def differ(self, words: str) -> Discrepancy:
        """Something that the manifest and the records do not say alike."""
        return Discrepancy(self.records.manifest_name, None, words)


def _state_of(part: Part, proof: BatchProof | None) -> PartState:
    if proof is None:
        return PartState(part=part)
    return PartState(part=part, batch=proof.batch, is_stored=proof.manifest_sha256 is not None)


def check_folder(claims: Claims) -> Iterator[Discrepancy]:
    """Only records lie beside the proof."""
    for name in claims.records.names():
        if not _RECORD.fullmatch(name):
            yield Discrepancy(claims.records.name_of(name), None, "it is no record of a submission")


def check_parts(claims: Claims) -> Iterator[Discrepancy]:
    """Records and manifest name the same batches."""
    numbers = [part.number for part in claims.parts]
    if numbers != list(range(1, len(numbers) + 1)):
        yield claims.differ(f"the parts of its plan and its rounds are numbered {numbers}")
    named = {one.part: one for one in claims.manifest.batches}
    if len(named) != len(claims.manifest.batches):
        yield claims.differ("it names two batches of one part")

    is_last = claims.is_last_word
    for part in claims.parts:
        proof, created = named.pop(part.number, None), claims.records.created(part)
        batch = created and created.batch
        if proof is not None and proof.batch != batch:
            yield claims.differ(f"it names {proof.batch} as part {part.number}, which is {batch}")
        if proof is None and batch is not None and is_last:
            yield claims.differ(f"it lacks {batch}, which is part {part.number}")
    for one in named.values():
        yield claims.differ(f"it names {one.batch} as part {one.part}, which nobody planned")
    if is_last and claims.manifest.reason is None:
        yield from _check_completion(claims)


def _check_completion(claims: Claims) -> Iterator[Discrepancy]:
    """One that is completed has sent all, and its last round found nothing to send."""
    rounds = claims.records.rounds()
    if not rounds or rounds[-1].parts or rounds[-1].held_back:
        yield claims.differ("it says completed, though no last round found nothing to send")
    if not all(one.is_stored for one in claims.states):
        yield claims.differ("it says completed, though not every part is stored")


def check_planned(claims: Claims) -> Iterator[Discrepancy]:
    """Plan and rounds are those that the submission ended with."""
    named, of_table = claims.manifest.records, claims.is_of_table
    beside = 2 if of_table else 1  # the plan, and the table's record
    rounds = len(claims.records.rounds()) if claims.is_last_word else max(0, len(named) - beside)
    if [record.name for record in named] != claims.records.planned_names(rounds, of_table=of_table):
        yield claims.differ("the records that it names are not the plan and its rounds")
    for record in named:
        yield from check_digest(claims.storage, record.name, record.sha256)


def check_manifests(claims: Claims) -> Iterator[Discrepancy]:
    """The manifests of the batches are those that the submission ended with."""
    for proof in claims.manifest.batches:
        name = manifest_name(proof.batch)
        if proof.manifest_sha256 is not None:
            yield from check_digest(claims.storage, name, proof.manifest_sha256)


def check_sources(storage: Storage, batch: str) -> Iterator[Discrepancy]:
    """The records of a batch that answers are rebuilt from are those of its manifest."""
    try:
        manifest = load_manifest(storage, batch)
    except ManifestError as error:
        yield Discrepancy(manifest_name(batch), None, str(error))
        return
    if manifest is None:
        return
    forms = manifest.forms.index if isinstance(manifest.forms, FormsRecord) else None
    for record in (manifest.index, forms):
        if record is not None:
            yield from check_digest(storage, record.name, record.sha256)
    yield from check_records(storage, manifest)


def check_requests(claims: Claims, reading: Reading) -> Iterator[Discrepancy]:
    """The requests of every part are those of its plan, and of the first parts those of the id."""
    whole, is_known = hashlib.sha256(), True
    for one in claims.states:
        part, digest, requests = one.part, hashlib.sha256(), 0
        name = requests_name(part.sha256)
        if part.sha256 and not claims.storage.exists(name):
            yield Discrepancy(name, None, f"it is not there: the requests of part {part.number}")
        try:
            for line in read_sent_lines(reading, one):
                requests += 1
                digest.update(line)
                if not part.round:
                    whole.update(line)
        except StorageError as error:
            if error.retryable:
                raise
            is_known = False
            yield claims.differ(str(error))
            continue
        if part.sha256 not in {"", digest.hexdigest()} or requests != part.requests:
            yield claims.differ(f"the requests of part {part.number} are not those of its plan")
    if is_known and whole.hexdigest() != claims.manifest.input_sha256:
        yield claims.differ("its requests are not those that its input_sha256 stands for")


def find_late(claims: Claims) -> Sequence[str]:
    """Batches that were lost when the submission ended, and are stored by now."""
    return [
        one.batch
        for one in claims.manifest.batches
        if one.manifest_sha256 is None and claims.storage.exists(manifest_name(one.batch))
    ]
