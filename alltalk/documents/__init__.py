"""Documents: long texts, line by line, and what has been spoken of them."""

from __future__ import annotations

from alltalk.documents.document import SAMPLE_RATES, Document, Line, Manner, NewLine
from alltalk.documents.export import EXPORT_FORMATS, ExportFormat, write_export
from alltalk.documents.folder import EXPORTS, Folder
from alltalk.documents.html_blocks import Block
from alltalk.documents.imports import (
    LARGEST_FILE,
    SUFFIXES,
    Split,
    Text,
    read_file,
    read_markdown,
    read_plain,
    to_lines,
)
from alltalk.documents.joined import JoinedSound
from alltalk.documents.pieces import Heard, LineState, Piece
from alltalk.documents.store import DocumentStore, Limits
from alltalk.documents.timeline import Timeline, timeline_of

__all__ = [
    "EXPORTS",
    "EXPORT_FORMATS",
    "LARGEST_FILE",
    "SAMPLE_RATES",
    "SUFFIXES",
    "Block",
    "Document",
    "DocumentStore",
    "ExportFormat",
    "Folder",
    "Heard",
    "JoinedSound",
    "Limits",
    "Line",
    "LineState",
    "Manner",
    "NewLine",
    "Piece",
    "Split",
    "Text",
    "Timeline",
    "read_file",
    "read_markdown",
    "read_plain",
    "timeline_of",
    "to_lines",
    "write_export",
]
