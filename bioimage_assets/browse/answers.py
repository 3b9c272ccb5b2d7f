"""Answers as JSON, query parameters as values, and errors of the project as answers that say what is wrong."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import orjson
from starlette.requests import Request
from starlette.responses import Response

from bioimage_assets.core.errors import BioimageError, MissingTableError, StoreNotFoundError, UsageError

Handler = Callable[[Request], Response]
SLOW_AT_ONCE = max(2, min(8, os.cpu_count() or 2))
"""Pictures that are made at the same time."""


class NotThereError(BioimageError, LookupError):
    """Raise where an address names a plate, an image or a cell that this project does not have."""


def answer_json(value: object, status: int = 200) -> Response:
    """A value of dataclasses, lists and plain values as JSON; numbers that are not finite become null."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, media_type="application/json")


def answer_errors(handler: Handler) -> Handler:
    """The same handler, whose errors of the project are answers: 404, 400, or 422 where what is stored cannot be read."""

    @functools.wraps(handler)
    def call(request: Request) -> Response:
        try:
            return handler(request)
        except BioimageError as error:
            code = {"code": error.code} if error.code else {}
            return answer_json({"error": str(error), **code}, _status(error))

    return call


def answer_slowly(quick: Handler, slow: Handler) -> Callable[[Request], Awaitable[Response]]:
    """What ``quick`` answers at once; where that is nothing (204), what ``slow`` makes, a few at a time.

    Those that wait hold no thread, so that whoever asks for something else is not kept waiting behind them.
    """
    limiter: list[anyio.CapacityLimiter] = []  # belongs to the event loop of the first request

    async def call(request: Request) -> Response:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(SLOW_AT_ONCE))
        answer = await anyio.to_thread.run_sync(quick, request)
        if answer.status_code != 204:
            return answer
        return await anyio.to_thread.run_sync(slow, request, limiter=limiter[0])

    return call


def _status(error: BioimageError) -> int:
    if isinstance(error, (NotThereError, MissingTableError, StoreNotFoundError)):
        return 404
    return 400 if isinstance(error, UsageError) else 422


def read_text(request: Request, name: str) -> str:
    """A parameter that has to be there; UsageError where it is not."""
    value = request.query_params.get(name)
    if not value:
        raise UsageError(f"The parameter {name!r} is missing.")
    return value


def read_number(
    request: Request, name: str, default: int | None = None, *, least: int = 0, most: int = 2**31
) -> int:
    """A whole number; UsageError where it is none, is out of bounds, or is missing and has no default."""
    text = request.query_params.get(name)
    if text is None or text == "":
        if default is None:
            raise UsageError(f"The parameter {name!r} is missing.")
        return default
    return _parse_number(name, text, least, most)


def read_numbers(
    request: Request, name: str, default: tuple[int, ...], *, most: int = 1_000
) -> tuple[int, ...]:
    """Whole numbers with commas between them, each larger than the one before; UsageError where they are not."""
    text = request.query_params.get(name)
    if not text:
        return default
    numbers = tuple(_parse_number(name, part, 0, most) for part in text.split(","))
    if list(numbers) != sorted(set(numbers)):
        raise UsageError(f"The parameter {name!r} is {text!r:.40}; expected numbers that rise.")
    return numbers


def _parse_number(name: str, text: str, least: int, most: int) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 12):
        raise UsageError(f"The parameter {name!r} is {text!r:.40}; expected a whole number.")
    number = int(text)
    if not least <= number <= most:
        raise UsageError(f"The parameter {name!r} is {number}; expected {least} to {most}.")
    return number


def read_switch(request: Request, name: str) -> bool:
    """Whether a parameter says yes."""
    return request.query_params.get(name, "").lower() in ("1", "true", "on", "yes")
