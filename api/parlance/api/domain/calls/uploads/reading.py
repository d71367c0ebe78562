"""Reads one `add-calls` request: credentials, fields and the file, in whatever order they come.

The file is in the store when this is done, but nothing else knows of it yet. Called by the route;
`accepting` makes a call of it.
"""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from litestar import Request
from parlance.api.db.errors import QueryRejected, RowConflict, RowMissing
from parlance.api.domain.calls.uploads import fields
from parlance.api.domain.calls.uploads.intake import Intake, TakenAudio
from parlance.api.http import body, multipart
from parlance.api.http.errors import FieldError, Refused, refuse_field
from parlance.api.http.multipart import FormLimits, Part
from parlance.api.identity import guard as access
from parlance.api.identity.guard import Gate
from parlance.api.identity.keys import Principal, Scope
from parlance.contracts import ids, objects
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.problems import Problem
from parlance.media.sniff import Container

KEY_FIELD = "api_key"
FILE_FIELD = "call"
URL_FIELD = "audio_url"
_ROLLED_BACK = (Refused, RowConflict, RowMissing, QueryRejected)
"""What is only raised when nothing was committed."""
_KNOWN = fields.NAMES | {KEY_FIELD, URL_FIELD}


@dataclass
class Submission:
    """What a client sent so far."""

    call_id: CallId
    header_key: str | None
    principal: Principal | None = None
    texts: dict[str, str] = field(default_factory=dict)
    audio: TakenAudio | None = None
    file_name: str | None = None
    unknown: list[str] = field(default_factory=list)
    is_committing: bool = False
    """From here on only the database knows whether there is a call."""
    _seen: set[str] = field(default_factory=set)

    def note(self, name: str) -> None:
        """Each field once. Raises Refused."""
        if name in self._seen:
            raise refuse_field(Problem.DUPLICATE_FIELD, name[:64], "is given more than once")
        self._seen.add(name)

    def format_key(self, container: Container) -> str:
        """Where the file goes: to its company, or aside until the key is known and checked."""
        if self.principal is None:
            return objects.format_staging_key(self.call_id)
        company = CompanySlug(self.principal.company_slug)
        return objects.format_audio_key(company, self.call_id, container.extension)

    def note_commit(self) -> None:
        """The transaction is about to be committed."""
        self.is_committing = True

    @property
    def url(self) -> str | None:
        return self.texts.get(URL_FIELD, "").strip() or None


@contextlib.asynccontextmanager
async def drop_unless_done(intake: Intake, submission: Submission) -> AsyncGenerator[None, None]:
    """Remove the file from the store when the block fails.

    Not where a commit was under way and its answer is missing: the call may exist, and would be
    without its audio. If it does not, the janitor finds the file.
    """
    try:
        yield
    except BaseException as exc:
        is_in_doubt = submission.is_committing and not isinstance(exc, _ROLLED_BACK)
        if submission.audio is not None and not is_in_doubt:
            await intake.drop(submission.audio.key)
        raise


class UploadReader:
    """Reads requests into submissions. One per process."""

    def __init__(self, gate: Gate, intake: Intake) -> None:
        self._gate = gate
        self._intake = intake
        self._limits = FormLimits(file_bytes=intake.max_bytes)

    @contextlib.asynccontextmanager
    async def read(self, request: Request[Any, Any, Any]) -> AsyncGenerator[Submission, None]:
        """The submission, its key checked. If anything fails, in here or in the caller's block,
        its file is removed from the store."""
        submission = Submission(ids.new_call_id(), access.read_key(request))
        boundary = multipart.parse_boundary(request.headers.get("Content-Type", ""))
        # All that the headers tell is checked before the first byte is asked for: a client that
        # sends `Expect: 100-continue` has then sent nothing.
        if submission.header_key is not None:
            await self._admit(submission, None)
        self._check_length(request)
        async with drop_unless_done(self._intake, submission):
            parts = multipart.read_parts(body.read_body(request), boundary, self._limits)
            async with contextlib.aclosing(parts):
                async for part in parts:
                    await self._read_part(submission, part)
            if submission.principal is None:
                await self._admit(submission, None)
            await self._settle(submission)
            yield submission

    def _check_length(self, request: Request[Any, Any, Any]) -> None:
        length = request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self._limits.body_bytes:
            raise multipart.refuse_body(self._limits.file_bytes)

    async def _read_part(self, submission: Submission, part: Part) -> None:
        submission.note(part.name)
        if part.name == FILE_FIELD:
            await self._take_file(submission, part)
        elif part.name not in _KNOWN or part.file_name is not None:
            submission.unknown.append(part.name)  # the reader skips what it holds
        else:
            submission.texts[part.name] = await part.text()
            if part.name == KEY_FIELD:
                await self._admit(submission, submission.texts[KEY_FIELD].strip())

    async def _take_file(self, submission: Submission, part: Part) -> None:
        if part.file_name is None:
            raise refuse_field(Problem.AUDIO_REQUIRED, FILE_FIELD, "must be a file, not a text")
        try:
            submission.audio = await self._intake.take(part, submission.format_key)
        except Refused as exc:
            # Browsers send a file input that was left empty as a file without a name.
            if exc.problem is not Problem.EMPTY_FILE or part.file_name:
                raise
        submission.file_name = part.file_name or None

    async def _admit(self, submission: Submission, from_field: str | None) -> None:
        key = access.merge_keys(submission.header_key, from_field)
        submission.principal = await self._gate.admit(key, Scope.CALLS_WRITE)

    async def _settle(self, submission: Submission) -> None:
        """Exactly one source; a file that came before its key goes to its company now."""
        if submission.audio is None and submission.url is None:
            raise _refuse_missing(submission.unknown)
        if submission.audio is None:
            return
        if submission.url is not None:
            raise refuse_field(Problem.AUDIO_AMBIGUOUS, URL_FIELD, "is given beside a file")
        if submission.audio.key.startswith(objects.STAGING_PREFIX):
            key = submission.format_key(submission.audio.container)
            submission.audio = await self._intake.move(submission.audio, key)


def _refuse_missing(unknown: list[str]) -> Refused:
    detail = f"Send the file as `{FILE_FIELD}` or its address as `{URL_FIELD}`."
    if unknown:  # a file under another name is the usual mistake
        detail += f" Unknown fields: {', '.join(unknown)[:200]}."
    return Refused(
        Problem.AUDIO_REQUIRED,
        detail,
        errors=[FieldError(f"/{FILE_FIELD}", Problem.AUDIO_REQUIRED.code, "is missing")],
    )
