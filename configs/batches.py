"""Settings of files and batches: where they are kept, and how much of the house batches may use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from configs.settings import EnvironmentName, Settings, error_at

MAX_FILE_BYTES = 209_715_200
"""Source: OpenAI's Batch API, 200 MB a file."""
MAX_LINES = 50_000
"""Source: OpenAI's Batch API, requests in one batch."""


def _is_absolute(value: str) -> str:
    if not Path(value).expanduser().is_absolute():
        raise ValueError("must be an absolute path, or begin with ~/: routers do not start where you are")
    return value


def _is_http_address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value


class FolderStoreSettings(Settings):
    """A folder. Several routers on one node may share it; on several nodes it must be the same file system."""

    type: Literal["folder"]
    """Keep files and batches in a folder."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_is_absolute)]
    """The folder, made where it is missing. `~/` is the home of whoever runs the router."""


class S3StoreSettings(Settings):
    """A bucket at S3, or at a server that speaks S3 and knows `If-None-Match: *`."""

    type: Literal["s3"]
    """Keep files and batches in a bucket."""

    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    """Name of the bucket, which must exist."""

    prefix: str = ""
    """What the names of all objects in the bucket begin with. Two houses on one bucket need two prefixes."""

    endpoint: Annotated[str, AfterValidator(_is_http_address)] | None = None
    """Address of the server, as `https://minio.example:9000`. Default: AWS's own for the region."""

    region: Annotated[str, Field(min_length=1)] = "us-east-1"
    """AWS's region; other servers seldom mind."""

    access_key_id_env: EnvironmentName | None = None
    """Environment variable that holds the access key's id. Default: AWS's own places for it."""

    secret_access_key_env: EnvironmentName | None = None
    """Environment variable that holds the secret access key."""

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        if (self.access_key_id_env is None) != (self.secret_access_key_env is None):
            given, missing = "access_key_id_env", "secret_access_key_env"
            if self.access_key_id_env is None:
                given, missing = missing, given
            raise error_at((given,), f"needs {missing} beside it")
        return self


BatchStoreSettings = Annotated[FolderStoreSettings | S3StoreSettings, Field(discriminator="type")]


class BatchSettings(Settings):
    """Files and batches: `/v1/files` and `/v1/batches`. Off unless `store` says where they are kept."""

    store: BatchStoreSettings | None = None
    """Where files and batches are kept: `type: folder` or `type: s3`. Default: nowhere, and both routes say so."""

    max_file_bytes: Annotated[int, Field(ge=1024, le=5_368_709_120)] = MAX_FILE_BYTES
    """Size of an uploaded file, in bytes; more is answered 413. Default: OpenAI's limit."""

    max_lines: Annotated[int, Field(ge=1, le=1_000_000)] = MAX_LINES
    """Requests in one batch. A file with more fails its batch. Default: OpenAI's limit."""

    max_slots_ratio: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Share of a model's slots that batches may fill, 0 to 1. What is left is free at once for a client who waits;
    batches fill at most all but one slot, or a model's only slot while no client is there."""

    slots_per_replica: Annotated[int, Field(ge=1, le=100_000)] = 8
    """Slots of a replica whose engine does not say how many requests it runs at once (`max_num_seqs`)."""


def store_secret_names(store: FolderStoreSettings | S3StoreSettings | None) -> Iterator[tuple[str, str]]:
    """The environment variables that a store takes its secrets from, each after the setting that names it."""
    if isinstance(store, S3StoreSettings):
        for setting in ("access_key_id_env", "secret_access_key_env"):
            name = getattr(store, setting)
            if name is not None:
                yield setting, name
