"""`manifest.json`, which lies in the folder of an engine that Enginehouse built: what it is, and what is in it."""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from configs.settings import Settings
from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.match import FORMAT, MANIFEST, file_reasons
from deployments.compiled_engines.recipe import Recipe

BUILD_LOGS = "build-logs"
"""Folder, beside the engine, of what the tools said."""

_CHUNK_BYTES = 4 * 1024**2


class WrittenFile(Settings):
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BuiltOn(Settings):
    """The GPU that the engine was compiled on, and for."""

    name: Annotated[str, Field(min_length=1)]
    sm: Annotated[int, Field(ge=10, le=999)]
    """Compute capability without its point: 90 for 9.0."""


class Manifest(Settings):
    """Everything that was known when the engine was finished."""

    format: Literal[1] = FORMAT
    created_at: datetime
    enginehouse: str
    tensorrt_llm: str
    tensorrt: str | None
    gpu: BuiltOn
    world_size: Annotated[int, Field(ge=1)]
    recipe: Recipe
    source_fingerprint: str
    files: dict[str, WrittenFile]
    """By name. Logs of the build, which may be removed, are not among them."""


def written_files(folder: Path) -> dict[str, WrittenFile]:
    """Every file of an engine's folder, read as a whole; neither its manifest nor logs."""
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: WrittenFile(size_bytes=path.stat().st_size, sha256=sha256_of(path))
        for name, path in paths.items()
        if name != MANIFEST and not name.startswith(f"{BUILD_LOGS}/")
    }


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        CompiledEngineError: there is none, or it is not as Enginehouse writes it.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CompiledEngineError(f"{folder} has no {MANIFEST}: Enginehouse did not build it") from None
    except OSError as error:
        raise CompiledEngineError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CompiledEngineError(f"{path} is not as it was written: {where}: {first['msg']}") from error


def damages(folder: Path, manifest: Manifest) -> list[str]:
    """What differs from what was written, contents included; reads every file."""
    found = file_reasons(folder, {name: file.size_bytes for name, file in manifest.files.items()})
    sound = {name: file for name, file in manifest.files.items() if not any(r.startswith(f"{name} ") for r in found)}
    return found + [
        f"{name} has another content than was written: its checksum differs"
        for name, file in sorted(sound.items())
        if sha256_of(folder / name) != file.sha256
    ]
