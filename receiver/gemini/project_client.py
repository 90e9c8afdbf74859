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
    """Gemini's API by one project's key. Every call raises GeminiError."""

    def __init__(self, gemini: Gemini, project: str = "") -> None:
        self._gemini, self.project = gemini, project

    def list(self) -> Iterator[Batch | Unread]:
        """Every batch. One that can't be read does not hide the others."""
        return (self._named(batch) for batch in self._gemini.list_batches())

    def get(self, name: str) -> Batch:
        """A batch by its name in the inbox. Raises NotFoundError when the project has none of that
        name.
        """
        batch = self._gemini.get_batch(BatchName.read(name).gemini)
        return replace(batch, name=str(BatchName.read(batch.name, self.project)))

    def gives_results(self, batch: Batch) -> bool | None:
        """Whether Gemini still has an ended batch's results; None if it can't be asked now."""
        return self._gemini.gives_results(replace(batch, name=BatchName.read(batch.name).gemini))

    def cancel(self, name: str) -> None:
        """Ask Gemini to stop a batch, by its name in the inbox."""
        self._gemini.cancel_batch(BatchName.read(name).gemini)

    def delete(self, name: str) -> None:
        """Delete a batch at Gemini, by its name in the inbox."""
        self._gemini.delete_batch(BatchName.read(name).gemini)

    def probe_file(self, file: str) -> int:
        """The HTTP status of a result file, whose body is not read. Raises GeminiError."""
        with self._gemini.stream_file(file, {"range": "bytes=0-0"}) as response:
            return response.status_code

    @property
    def files(self) -> Files:
        """The project's files at Gemini."""
        return Files(self._gemini.transport)

    def _named(self, one: Batch | Unread) -> Batch | Unread:
        if isinstance(one, Unread) and not GEMINI_NAME.fullmatch(one.name):
            return one
        return replace(one, name=str(BatchName.read(one.name, self.project)))


@contextmanager
def open_client(settings: Settings, project: Project) -> Iterator[ProjectClient]:
    """Open the API with this project's key."""
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        yield ProjectClient(gemini, project.name)


@contextmanager
def open_clients(
    settings: Settings, projects: Iterable[Project]
) -> Iterator[dict[str, ProjectClient]]:
    """Open the API for several projects, each with its own key. Gives clients by project name."""
    with ExitStack() as stack:
        yield {
            project.name: stack.enter_context(open_client(settings, project))
            for project in projects
        }
