"""A project's batches at Gemini, under the names that they have in the inbox."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from receiver.batch_names import GEMINI_NAME, BatchName
from receiver.gemini.batches import Gemini
from receiver.gemini.files import Files
from receiver.gemini.operations import Batch, Unread
from receiver.settings.projects import Project
from receiver.settings.settings import Settings


class ProjectClient:
    """What one project's API key shows. Every call raises GeminiError."""

    def __init__(self, gemini: Gemini, project: str = "") -> None:
        self._gemini, self.project = gemini, project

    def list(self) -> Iterator[Batch | Unread]:
        """Every batch; one that can't be read takes no other with it."""
        return (self._named(batch) for batch in self._gemini.list_batches())

    def get(self, name: str) -> Batch:
        """A batch by its name in the inbox. Raises NotFoundError when the project has none of that name."""
        batch = self._gemini.get_batch(BatchName.read(name).gemini)
        return replace(batch, name=str(BatchName.read(batch.name, self.project)))

    def gives_results(self, batch: Batch) -> bool | None:
        """Whether Gemini gives the results of a batch that has ended; None where it can't be asked right now."""
        return self._gemini.gives_results(replace(batch, name=BatchName.read(batch.name).gemini))

    def cancel(self, name: str) -> None:
        """Ask Gemini to stop a batch, by its name in the inbox."""
        self._gemini.cancel_batch(BatchName.read(name).gemini)

    def delete(self, name: str) -> None:
        """Take a batch out of Gemini's lists, by its name in the inbox."""
        self._gemini.delete_batch(BatchName.read(name).gemini)

    def probe_file(self, file: str) -> int:
        """The HTTP status that Gemini gives for a result file, of which nothing is read. Raises GeminiError."""
        with self._gemini.stream_file(
            file, {"range": "bytes=0-0"}, lambda _event, _info: None
        ) as response:
            return response.status_code

    @property
    def files(self) -> Files:
        """What the project keeps at Gemini."""
        return Files(self._gemini.transport)

    def _named(self, one: Batch | Unread) -> Batch | Unread:
        if isinstance(one, Unread) and not GEMINI_NAME.fullmatch(one.name):
            return one
        return replace(one, name=str(BatchName.read(one.name, self.project)))


@contextmanager
def open_batches(settings: Settings, project: Project) -> Iterator[ProjectClient]:
    """Ask Gemini with this project's key, and no other."""
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        yield ProjectClient(gemini, project.name)


@contextmanager
def open_each(
    settings: Settings, projects: Iterable[Project]
) -> Iterator[dict[str, ProjectClient]]:
    """Several projects by name, each asked with its own key."""
    with ExitStack() as stack:
        yield {
            project.name: stack.enter_context(open_batches(settings, project))
            for project in projects
        }
