"""A ticket as a document for the analysers: one unit per message."""

from parlance.contracts.tickets import Message, TicketDocument
from parlance.inference.analysis.documents import Document, Unit

_AUTO = "auto"


def build_document(ticket: TicketDocument) -> Document:
    """Not timed: nobody spoke. When each message was written stands in `Unit.written_at`."""
    return Document(
        units=tuple(_build_unit(message) for message in ticket.messages),
        language="" if ticket.language == _AUTO else ticket.language,
        redact_pii=ticket.redact_pii,
    )


def _build_unit(message: Message) -> Unit:
    text = blank_quoted(message)
    return Unit(
        id=str(message.index),
        speaker=message.author or message.role,
        role=message.role,
        start=0.0,
        end=0.0,
        text=text,
        full_text=message.text if text != message.text else "",
        written_at=message.created_at.timestamp() if message.created_at else None,
    )


def blank_quoted(message: Message) -> str:
    """The text with spaces in place of what it repeats of earlier messages, so that places in it
    are places in the text that people see."""
    text = message.text
    parts: list[str] = []
    at = 0
    for begin, end in message.quoted:
        parts += (text[at:begin], " " * len(text[begin:end]))
        at = end
    return "".join((*parts, text[at:]))
