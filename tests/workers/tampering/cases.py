"""What is done to stored batches, and what `verify` says: the table of deploy/THREATS.md."""

from tests.workers.tampering.lines import LINE_TAMPERINGS
from tests.workers.tampering.manifests import MANIFEST_TAMPERINGS
from tests.workers.tampering.objects import OBJECT_TAMPERINGS

TAMPERINGS = (*OBJECT_TAMPERINGS, *LINE_TAMPERINGS, *MANIFEST_TAMPERINGS)
