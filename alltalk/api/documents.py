"""Long texts: documents that are spoken line by line, changed, and taken away whole."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from alltalk.api.body import documented, json_value, validated
from alltalk.api.deps import LongTextsDep, StudioDep, TicketDep
from alltalk.api.document_schemas import (
    ChangedDocument,
    ChangedLine,
    NewDocument,
    NewLines,
    SpeakBody,
    described,
    told,
)
from alltalk.api.json import JSONResponse
from alltalk.api.uploads import read_form
from alltalk.documents import LARGEST_FILE, Document, NewLine, Text, read_markdown, read_plain
from alltalk.long_texts import LongTexts

router = APIRouter(tags=["Long texts"])


@router.post(
    "/v1/documents",
    openapi_extra=documented(NewDocument, "application/json", "multipart/form-data"),
    summary="Keep a long text",
)
async def create_document(http: Request, texts: LongTextsDep, studio: StudioDep) -> Response:
    """From JSON, or from a form with a txt, md or epub file. Its id is the right to it: keep it."""
    if http.headers.get("content-type", "").startswith("multipart/"):
        async with read_form(http, studio, largest_bytes=LARGEST_FILE) as form:
            body = validated(NewDocument, {k: v for k, v in form.fields.items() if v != ""})
            if form.uploads:
                text = await texts.read(form.uploads[0].name, form.uploads[0].file)
            else:
                text = await _pasted(texts, body)
    else:
        body = validated(NewDocument, await json_value(http))
        text = await _pasted(texts, body)
    folder = await texts.create(
        body.title, text, body.split, body.manner(), sample_rate=body.sample_rate
    )
    return await _answer(texts, folder.id, 201)


@router.get("/v1/documents/{id}", summary="Describe a document and how far it is")
async def retrieve_document(id: str, texts: LongTextsDep) -> Response:
    """Its lines with their states, and the time that is left."""
    return await _answer(texts, id)


@router.patch(
    "/v1/documents/{id}",
    openapi_extra=documented(ChangedDocument, "application/json"),
    summary="Change a document's title or manner",
)
async def change_document(id: str, http: Request, texts: LongTextsDep) -> Response:
    """Lines that sound otherwise then are `changed`, until they are spoken again."""
    body = validated(ChangedDocument, await json_value(http))

    def edit(document: Document) -> Document:
        if body.title is not None:
            document = document.titled(body.title)
        return document.spoken_in(body.manner.manner()) if body.manner else document

    await texts.change(id, edit)
    return await _answer(texts, id)


@router.delete("/v1/documents/{id}", summary="Delete a document")
async def delete_document(id: str, texts: LongTextsDep) -> Response:
    """With all that was spoken of it."""
    await texts.delete(id)
    return JSONResponse({"id": id, "object": "document", "deleted": True})


@router.post(
    "/v1/documents/{id}/lines",
    openapi_extra=documented(NewLines, "application/json"),
    summary="Put lines into a document",
)
async def add_lines(id: str, http: Request, texts: LongTextsDep) -> Response:
    """Answers the whole document, as all changes do."""
    body = validated(NewLines, await json_value(http))
    manner = body.manner.manner() if body.manner else None
    lines = [NewLine(text) for text in body.texts]

    def edit(document: Document) -> Document:
        place = len(document.lines) if body.position is None else body.position - 1
        return document.inserted(lines, place, manner)

    await texts.change(id, edit)
    return await _answer(texts, id)


@router.patch(
    "/v1/documents/{id}/lines/{line}",
    openapi_extra=documented(ChangedLine, "application/json"),
    summary="Change or move a line",
)
async def change_line(id: str, line: int, http: Request, texts: LongTextsDep) -> Response:
    """The finished lines stay; this one has to be spoken again if it sounds otherwise now."""
    body = validated(ChangedLine, await json_value(http))

    def edit(document: Document) -> Document:
        document = document.edited(
            [line],
            text=body.text,
            manner=body.manner.manner() if body.manner else None,
            begins_chapter=body.begins_chapter,
        )
        return document if body.position is None else document.moved(line, body.position - 1)

    await texts.change(id, edit)
    return await _answer(texts, id)


@router.delete("/v1/documents/{id}/lines/{line}", summary="Remove a line")
async def remove_line(id: str, line: int, texts: LongTextsDep) -> Response:
    """With what was spoken of it."""
    await texts.change(id, lambda document: document.without([line]))
    return await _answer(texts, id)


@router.post(
    "/v1/documents/{id}/speak",
    openapi_extra=documented(SpeakBody, "application/json"),
    summary="Speak a document",
)
async def speak_document(
    id: str, http: Request, texts: LongTextsDep, ticket: TicketDep
) -> Response:
    """Answers at once, and speaks behind everybody who waits for their sound."""
    body = validated(SpeakBody, await json_value(http) if await http.body() else {})
    progress = await texts.speak(id, body.lines, client=ticket.client, named=ticket.named)
    return JSONResponse(told(progress), 202)


@router.post("/v1/documents/{id}/stop", summary="Stop speaking a document")
async def stop_document(id: str, texts: LongTextsDep) -> Response:
    """Finished lines stay; speaking it again goes on after them."""
    await texts.stop(id)
    return JSONResponse(told(await texts.progress(id)))


async def _answer(texts: LongTexts, id: str, status: int = 200) -> Response:
    folder, progress = await texts.open(id), await texts.progress(id)
    return await texts.run(lambda: JSONResponse(described(folder, progress), status))


async def _pasted(texts: LongTexts, body: NewDocument) -> Text:
    reader: Any = read_markdown if body.format == "md" else read_plain
    return await texts.pasted(body.text, reader)
