"""Whose signature a manifest carries. With the manifest all it has the sha256 of is proven, and that is everything."""

from collections.abc import Sequence
from hashlib import sha256

from receiver.outputs.paths import manifest_name, signature_name
from receiver.outputs.proof_keys import PublicKey, read_signature
from receiver.storage import Storage
from workers.verification.rules import Discrepancy, VerifyReport


def own_signature(batch_id: str, data: bytes) -> str:
    """Where the signature of these bytes of a manifest lies."""
    return signature_name(batch_id, sha256(data).hexdigest())


def check_signature(
    storage: Storage,
    batch_id: str,
    data: bytes,
    public_keys: Sequence[PublicKey],
    report: VerifyReport,
) -> None:
    """`data` is the manifest as it is stored. Who gives public keys demands that one of them has signed it."""
    name = own_signature(batch_id, data)
    stored = storage.read(name)
    if stored is None:
        if public_keys:
            words = "no signature of these bytes is there: it is not signed, or was changed after it was"
            report.add([Discrepancy(manifest_name(batch_id), None, words)])
        return
    if not public_keys:
        report.note("the signature of the manifest: --public-key tells whose it is")
        return
    try:
        signature = read_signature(stored)
    except ValueError as error:
        report.add([Discrepancy(name, None, f"it is no signature: {error}")])
        return
    report.signed_by = next(
        (key.text for key in public_keys if key.has_signed(data, signature)), None
    )
    if report.signed_by is None:
        report.add([Discrepancy(name, None, _why_not(signature.public_key, data, stored))])


def _why_not(signer: str, data: bytes, stored: bytes) -> str:
    try:
        genuine = PublicKey.parse(signer).has_signed(data, read_signature(stored))
    except ValueError:
        genuine = False
    return (
        f"another key has signed: {signer}"
        if genuine
        else "the signature does not fit the manifest"
    )
