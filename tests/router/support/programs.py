"""Clients' own programs, run as a user runs them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path


async def run(
    program: Path, *arguments: str, folder: Path, environment: Mapping[str, str], deadline_s: float
) -> tuple[int | None, bytes, bytes]:
    """Its exit code, and what it wrote to its output and to its errors. It is killed when it takes too long."""
    running = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=folder, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(deadline_s):
            output, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return running.returncode, output, errors
