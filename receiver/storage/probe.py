"""Does a storage do all that a worker asks of it?"""

import secrets

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage.protocol import Storage


def probe_storage(storage: Storage) -> None:
    """Write, create once, read and delete an object. Raises StorageError."""
    name, data = f"_doctor/{secrets.token_hex(8)}", b"probe\n"
    storage.create(name, data)
    try:
        storage.create(name, data)
    except AlreadyStoredError:
        pass
    else:
        harm = "two workers could commit one batch"
        raise StorageError(f"the storage created one object twice: {harm}")
    try:
        if storage.read(name) != data:
            raise StorageError("the storage did not give back what was written")
    finally:
        storage.delete(name)
