"""Finds what Gemini accepts in a request although a batch may fail on it: worth a note. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "topP": "top_p",
    "top_k": "top_k",
    "topK": "top_k",
}
MAX_KINDS = 20
IN_CAMEL_CASE = (
    "names in camelCase: Gemini's guide has them in input files too, but one client was refused"
    " with 400; snake_case is safe, and so is --inline"
)
MCP_WITH_SCHEMA = (
    "tools.mcp_servers beside a response schema: every such request failed in a batch that said"
    " SUCCEEDED"
)


class Caution(msgspec.Struct):
    """Something worth knowing about an input."""

    line: int  # the first that it concerns, from 1
    lines: int  # how many it concerns
    what: str

    def __str__(self) -> str:
        more = f" and {self.lines - 1:,} more" if self.lines > 1 else ""
        return f"line {self.line}{more}: {self.what}"


class Cautions:
    """Cautions by their text."""

    def __init__(self) -> None:
        self._by_text: dict[str, Caution] = {}

    def add(self, line: int, what: str) -> None:
        known = self._by_text.get(what)
        if known is not None:
            known.lines += 1
        elif len(self._by_text) < MAX_KINDS:
            self._by_text[what] = Caution(line, 1, what)

    def __iter__(self) -> Iterator[Caution]:
        return iter(self._by_text.values())


def find_cautions(request: Mapping[str, Any]) -> Iterator[str]:
    """What is worth knowing about one request."""
    config = _member(request, "generation_config", "generationConfig")
    if isinstance(config, dict):
        for name in sorted({SAMPLING[name] for name in config.keys() & SAMPLING.keys()}):
            yield (
                f"generation_config.{name} is deprecated since 2026-07-21;"
                " newer models may refuse or ignore it"
            )
        if _has_schema(config) and _has_mcp(_member(request, "tools", "tools")):
            yield MCP_WITH_SCHEMA


def _member(holder: Mapping[str, Any], snake: str, camel: str) -> Any:
    return holder.get(snake) or holder.get(camel)


def _has_schema(config: Mapping[str, Any]) -> bool:
    names = {name.replace("_", "").lower() for name, value in config.items() if value}
    return bool(names & {"responseschema", "responsejsonschema", "responseformat"})


def _has_mcp(tools: Any) -> bool:
    if not isinstance(tools, list):
        return False
    return any(
        isinstance(tool, dict) and _member(tool, "mcp_servers", "mcpServers") for tool in tools
    )
