"""What the child says, as far as the parent believes it: checked like any other input.

The child may have been taken over by the file, so whatever breaks the rules of `wire` is one error,
AnswerInvalid. Used by `host`, `probe` and `decode`.
"""

import dataclasses
import json
from typing import Annotated, Any, TypeVar

import pydantic
from parlance.media import wire
from parlance.media.errors import AnswerInvalid, build_error

_ModelT = TypeVar("_ModelT", bound=pydantic.BaseModel)

Codec = Annotated[str, pydantic.StringConstraints(pattern="^[a-z0-9_]{1,40}$")]
"""FFmpeg's name of a codec; goes into the database and to clients."""
Count = Annotated[int, pydantic.Field(ge=0, le=2**53)]
SampleRate = Annotated[int, pydantic.Field(ge=1, le=10_000_000)]


class Answer(pydantic.BaseModel):
    """Base of all messages of the child."""

    model_config = pydantic.ConfigDict(frozen=True, allow_inf_nan=False)


class SandboxReport(Answer):
    """The first message, sent before the child has seen a byte of the file."""

    protections: tuple[str, ...]
    """Names of `child.sandbox`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the child's answer: MESSAGE or PCM."""

    kind: bytes
    payload: bytes

    def parse(self, model: type[_ModelT], failure: str = "Decoding ended") -> _ModelT:
        """The message that is expected here. Raises the error that the child reports instead, as
        the sentence `failure` and the child's reason."""
        message = self._parse_json()
        if message.get("kind") == "error":
            code, detail = str(message.get("code")), str(message.get("detail", ""))
            raise build_error(code, failure, detail)
        try:
            return model.model_validate(message)
        except pydantic.ValidationError as error:
            raise AnswerInvalid from error

    def _parse_json(self) -> dict[str, Any]:
        if self.kind != wire.MESSAGE:
            raise AnswerInvalid
        try:
            message = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise AnswerInvalid from error
        if not isinstance(message, dict):
            raise AnswerInvalid
        return message
