"""The routes `/v1/files` and `/v1/batches`, as OpenAI's. Each key sees its own; others' are not there."""

import time
from collections.abc import Mapping, Sequence
from typing import cast

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from router.batches.desk import BatchDesk
from router.batches.files import FileRecord
from router.batches.identity import new_id, owner_of
from router.batches.records import Batch, Order
from router.batches.uploads import Upload
from router.batches.wishes import page_of, parse_batch_wish, parse_page, parse_upload_fields
from router.errors import BatchesNotConfigured, ClientDisconnected, InvalidRequest, ObjectNotFound
from router.http.asgi import Receive
from router.http.bodies import parse_object, read_body
from router.state import RouterState

FILES_PATH = "/v1/files"
BATCHES_PATH = "/v1/batches"
_MAX_FILES = 10_000
_MAX_BATCHES = 100


class BatchApi:
    """The routes, over the batches that a router's state has at the time of a request."""

    def __init__(self, state: RouterState) -> None:
        self._state = state

    def add_to(self, api: FastAPI) -> None:
        api.post(FILES_PATH, summary="Upload a file for a batch")(self.upload)
        api.get(FILES_PATH, summary="The files of this key, a page at a time")(self.list_files)
        api.get(FILES_PATH + "/{file_id}", summary="One file")(self.show_file)
        api.delete(FILES_PATH + "/{file_id}", summary="Delete a file")(self.delete_file)
        api.get(FILES_PATH + "/{file_id}/content", summary="A file's content")(self.read_file)
        api.post(BATCHES_PATH, summary="Begin a batch")(self.create_batch)
        api.get(BATCHES_PATH, summary="The batches of this key, a page at a time")(self.list_batches)
        api.get(BATCHES_PATH + "/{batch_id}", summary="One batch, and how far it is")(self.show_batch)
        api.post(BATCHES_PATH + "/{batch_id}/cancel", summary="Cancel a batch")(self.cancel_batch)

    # files

    async def upload(self, request: Request) -> Response:
        batches, owner = self._open(request)
        upload = Upload(
            request.scope, _receive(request), batches.settings.max_file_bytes, self._state.listener.request_timeout_s
        )
        try:
            file_id = await batches.files.receive(owner, upload.parts())
        except ClientDisconnected:
            return Response(status_code=400)  # nobody reads it
        try:
            lifetime_s = parse_upload_fields(upload.fields)
        except InvalidRequest:
            await batches.files.forget(owner, file_id)
            raise
        now = int(time.time())
        name = upload.filename or ""
        record = FileRecord(file_id, name, "batch", upload.num_bytes, now, now + lifetime_s if lifetime_s else None)
        await batches.files.publish(owner, record)
        return _json(record.as_object())

    async def list_files(self, request: Request) -> Response:
        batches, owner = self._open(request)
        page = parse_page(request.query_params, _MAX_FILES, _MAX_FILES)
        purpose = request.query_params.get("purpose")
        found = {one.id: one for one in await batches.files.list(owner) if purpose in (None, one.purpose)}
        ids, has_more = page_of(list(found), page)
        return _list([found[one].as_object() for one in ids], has_more=has_more)

    async def show_file(self, request: Request, file_id: str) -> Response:
        batches, owner = self._open(request)
        return _json((await batches.files.find(owner, file_id)).as_object())

    async def delete_file(self, request: Request, file_id: str) -> Response:
        batches, owner = self._open(request)
        record = await batches.files.find(owner, file_id)
        await batches.files.forget(owner, record.id)
        return _json({"id": record.id, "object": "file", "deleted": True})

    async def read_file(self, request: Request, file_id: str) -> Response:
        batches, owner = self._open(request)
        record = await batches.files.find(owner, file_id)
        headers = {"content-length": str(record.bytes)}
        return StreamingResponse(await batches.files.stream(owner, record), 200, headers, "application/octet-stream")

    # batches

    async def create_batch(self, request: Request) -> Response:
        batches, owner = self._open(request)
        listener = self._state.listener
        raw = await read_body(request.scope, _receive(request), listener.max_body_bytes, listener.request_timeout_s)
        wish = parse_batch_wish(parse_object(raw))
        try:
            await batches.files.find(owner, wish.input_file_id)
        except ObjectNotFound as error:
            raise InvalidRequest(error.message, param="input_file_id") from None
        now = int(time.time())
        order = Order(
            new_id("batch"), wish.endpoint, wish.input_file_id, wish.completion_window, now, now + wish.window_s,
            wish.metadata, wish.output_expires_after_s,
        )  # fmt: skip
        return _json((await batches.create(owner, order)).as_object(0, 0))

    async def list_batches(self, request: Request) -> Response:
        batches, owner = self._open(request)
        page = parse_page(request.query_params, _MAX_BATCHES, 20)
        ids, has_more = page_of(await batches.ledger.ids(owner), page)
        found = [await _found(batches, owner, one) for one in ids]
        return _list([await _as_object(batches, one) for one in found if one is not None], has_more=has_more)

    async def show_batch(self, request: Request, batch_id: str) -> Response:
        batches, owner = self._open(request)
        return _json(await _as_object(batches, await batches.ledger.find(owner, batch_id)))

    async def cancel_batch(self, request: Request, batch_id: str) -> Response:
        batches, owner = self._open(request)
        batch = await batches.ledger.find(owner, batch_id)
        if batch.is_over or batch.closing is not None:
            raise InvalidRequest(f"A batch that is {batch.state} cannot be cancelled.", param="batch_id")
        await batches.cancel(batch)
        return _json(await _as_object(batches, await batches.ledger.find(owner, batch_id)))

    def _open(self, request: Request) -> tuple[BatchDesk, str]:
        """The batches, and who asks."""
        owner = owner_of(self._state.keys.check(request.scope))
        if self._state.batches is None:
            raise BatchesNotConfigured(
                "Files and batches are off here: set `batches.store` in the router's `args` to a folder or a bucket."
            )
        return self._state.batches, owner


async def _found(batches: BatchDesk, owner: str, batch_id: str) -> Batch | None:
    try:
        return await batches.ledger.find(owner, batch_id)
    except ObjectNotFound:  # its creation came to no end
        return None


async def _as_object(batches: BatchDesk, batch: Batch) -> Mapping[str, object]:
    return batch.as_object(*await batches.ledger.counts(batch))


def _receive(request: Request) -> Receive:
    """Starlette calls it an awaitable; it is the server's coroutine function."""
    return cast("Receive", request.receive)


def _list(objects: Sequence[Mapping[str, object]], *, has_more: bool) -> Response:
    ends = {"first_id": objects[0]["id"], "last_id": objects[-1]["id"]} if objects else {}
    return _json({"object": "list", "data": objects, "has_more": has_more, **ends})


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
