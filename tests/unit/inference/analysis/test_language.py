"""The language of a document: found out, or given."""

import pytest
from parlance.contracts.calls import Role
from parlance.inference.analysis.analyzers import language
from parlance.inference.analysis.analyzers.base import Shared
from parlance.inference.analysis.documents import Document

from tests.unit.inference.analysis.conversations import build_ticket, message


def detect(*texts: str) -> str:
    document = build_ticket(*(message(Role.CUSTOMER, text) for text in texts), language="")
    return language.detect_language(document).code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Where is my order? It should have arrived on Monday.", "en"),
        ("Wo ist meine Bestellung? Sie sollte am Montag ankommen.", "de"),
        ("¿Dónde está mi pedido? Tenía que llegar el lunes.", "es"),
        ("Où est ma commande ? Elle devait arriver lundi.", "fr"),
        ("我的订单在哪里？应该星期一到的。", "zh"),
        ("أين طلبي؟ كان يجب أن يصل يوم الاثنين.", "ar"),
        ("", ""),
        ("12345 :-) !!!", ""),
        ("hm", ""),
        ("\u0301\u0301\u0301", ""),
    ],
)
def test_what_a_text_is_written_in(text: str, code: str) -> None:
    assert detect(text) == code


def test_a_long_paste_does_not_decide_for_everybody() -> None:
    german = "Ich habe eine Frage zu meiner Rechnung vom letzten Monat. " * 6
    log = "error while connecting to the remote server, please try again later " * 1000

    assert detect(log, german, german) == "de"


@pytest.mark.parametrize("blank", [" " * 2000, " \n" * 500])
def test_what_is_quoted_below_a_short_reply_does_not_hide_its_language(blank: str) -> None:
    assert detect(f"Wonderful, thank you!{blank}") == "en"


def test_notes_of_the_system_count_only_where_there_is_nothing_else() -> None:
    note = message(Role.SYSTEM, "The status was changed to open by the automatic rule of the desk.")
    frage = message(Role.CUSTOMER, "Wann kommt meine Bestellung endlich an?")

    assert language.detect_language(build_ticket(note, frage, language="")).code == "de"
    assert language.detect_language(build_ticket(note, language="")).code == "en"


def test_the_language_that_is_given_is_not_doubted() -> None:
    shared = Shared()
    document = build_ticket(message(Role.CUSTOMER, "Where is my order?"), language="pt-BR")

    found = language.LanguageAnalyzer().run(document, shared)

    assert found.model_dump() == {"language": {"code": "pt-BR", "confidence": None}}
    assert shared.language == "pt-BR"


def test_how_sure_it_is_stands_beside_it() -> None:
    document = Document(build_ticket(message(Role.AGENT, "Thank you for your order.")).units, "")

    found = language.detect_language(document)

    assert found.confidence is not None
    assert 0.3 <= found.confidence <= 1
