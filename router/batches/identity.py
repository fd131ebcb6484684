"""Names of files and batches, and of the objects that they are made of."""

import re
import secrets
import time

_ID = re.compile(r"(file|batch)-?_?[0-9a-f]{11}[0-9a-z]{1,40}")
NOBODY = "everybody"
"""The owner of what is made where there are no keys."""


def new_id(kind: str) -> str:
    """
    `file-…` or `batch_…`, as OpenAI's begin.

    The first eleven digits are milliseconds since 1970: in the order of their names, ids are in that of their age.
    """
    separator = "_" if kind == "batch" else "-"
    return f"{kind}{separator}{time.time_ns() // 1_000_000:011x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    """Whether it may be an id of ours: anything else must not become part of an object's name."""
    return _ID.fullmatch(text) is not None


def result_file_id(batch_id: str, kind: str) -> str:
    """The id of a batch's file of outputs (`o`) or errors (`e`): the same, whichever router writes it."""
    return f"file-{batch_id.removeprefix('batch_')}{kind}"


def owner_of(tenant: str) -> str:
    return tenant or NOBODY


def tenant_of(owner: str) -> str:
    return "" if owner == NOBODY else owner


def files_folder(owner: str) -> str:
    return f"{owner}/files"


def batches_folder(owner: str) -> str:
    return f"{owner}/batches"


OPEN_FOLDER = "open"
"""One object for each batch that is not over, named for it; its content is the owner."""
