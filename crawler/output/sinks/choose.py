"""Which sink an output's name asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from crawler.errors import OutputError
from crawler.output.sinks.csv import Csv
from crawler.output.sinks.files import FileSink
from crawler.output.sinks.format import Format
from crawler.output.sinks.json import JsonArray
from crawler.output.sinks.jsonl import JsonLines
from crawler.output.sinks.memory import ListSink
from crawler.output.sinks.stdout import PipeSink
from crawler.output.sinks.stream import StreamSink
from crawler.spider.item import Encoding

AnySink = FileSink | PipeSink | ListSink | StreamSink
STDOUT = "-"
_PLAIN: dict[str, Callable[[], Format]] = {".jsonl": JsonLines, ".json": JsonArray}
SUFFIXES = (".jsonl", ".json", ".csv")


def open_sink(
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    fields: Sequence[str] = (),
    cuts: Path | None = None,
) -> FileSink | PipeSink:
    """The sink for a file, by its suffix, or for standard output (`-`). The file itself is opened by the frontier.

    overwrite: a new job empties it. fields: the columns of CSV. cuts: the job's folder, for bytes that are cut off.
    Raises OutputError for a suffix that nobody knows.
    """
    if os.fspath(output) == STDOUT:
        return PipeSink()
    path = Path(output)
    compress = path.suffix == ".gz"
    suffix = Path(path.stem).suffix if compress else path.suffix
    if suffix not in SUFFIXES:
        raise OutputError(
            f"{path}: nobody knows how to write '{suffix}{'.gz' if compress else ''}'; "
            "use .jsonl, .json or .csv, each also with .gz, or - for standard output"
        )
    form = Csv(fields) if suffix == ".csv" else _PLAIN[suffix]()
    return FileSink(path, form, overwrite=overwrite, compress=compress, cuts=cuts)


def agree(sinks: Sequence[AnySink]) -> Encoding:
    """Let all sinks take items in one encoding: JSON if every sink writes it as it comes, msgpack otherwise."""
    encoding: Encoding = "json" if all(sink.encoding == "json" for sink in sinks) else "msgpack"
    for sink in sinks:
        sink.encoding = encoding
    return encoding
