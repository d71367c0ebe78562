"""Personal data by rules: what is found, what is not, and that hostile text costs no time."""

import time

import pytest
from parlance.contracts.calls import Role
from parlance.inference.analysis.analyzers import pii
from parlance.inference.analysis.pii import candidates, numbers, phones
from parlance.inference.analysis.pii.candidates import Candidate, PiiType

from tests.unit.inference.analysis.conversations import build_ticket, message


def find(text: str, language: str = "en") -> list[tuple[str, str]]:
    return [(one.type.value, text[one.begin : one.end]) for one in pii.find_pii(text, language)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Write to ada.l+x@mail.example.com.", ("email", "ada.l+x@mail.example.com")),
        ("(ada@example.co.uk)", ("email", "ada@example.co.uk")),
        ("Ada <José@exämple.de>, please", ("email", "José@exämple.de")),
        ("a@b.com.Then we", ("email", "a@b.com.Then")),
        ("+44 20 7946 0958", ("phone", "+44 20 7946 0958")),
        ("My mobile is 07400 123456", ("phone", "07400 123456")),
        ("(202) 555-0143 is mine", ("phone", "(202) 555-0143")),
        ("call 2025550143", ("phone", "2025550143")),
        ("4111 1111 1111 1111", ("card", "4111 1111 1111 1111")),
        ("card 378282246310005.", ("card", "378282246310005")),
        ("4111-1111-1111-1111 12/27 123", ("card", "4111-1111-1111-1111")),
        ("GB82 WEST 1234 5698 7654 32", ("iban", "GB82 WEST 1234 5698 7654 32")),
        ("IBAN:DE89370400440532013000,", ("iban", "DE89370400440532013000")),
        ("from 203.0.113.7.", ("ip_address", "203.0.113.7")),
        ("2001:db8::ff00:42:8329 says", ("ip_address", "2001:db8::ff00:42:8329")),
        ("born on 3 March 1980", ("date_of_birth", "3 March 1980")),
        ("DOB: 03/04/1980", ("date_of_birth", "03/04/1980")),
        ("My birth date is 1980-04-03.", ("date_of_birth", "1980-04-03")),
        ("geboren am 3.4.1980", ("date_of_birth", "3.4.1980")),
    ],
)
def test_what_tells_who_somebody_is(text: str, found: tuple[str, str]) -> None:
    assert find(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "Nothing here.",
        "me @ home",
        "user@localhost",
        "@ada",
        "Order 2025550143 is late",
        "ABC2025550143",
        "1111 2222 3333 4444",
        "4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "ZZ82 1234 5678 9012",
        "999.1.1.1",
        "version 1.2.3.4.5",
        "v1.2.3.4",
        "127.0.0.1 and ::",
        "at 10:05:30",
        "add::face",
        "It came on 3 March 1980",
        "I was born tired",
        "2026-03-01 10:00:00",
        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    ],
)
def test_what_tells_nobody(text: str) -> None:
    assert find(text) == []


def test_numbers_without_a_country_code_need_a_language_whose_countries_have_them() -> None:
    assert find("Telefon 030 901820", "de") == [("phone", "030 901820")]
    assert find("Telefon 030 901820", "") == []


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Tel: +49 30 123456 / 0172-1234567", "de", ["+49 30 123456", "0172-1234567"]),
        ("Tel: 030/123456 0172/1234567", "de", ["030/123456", "0172/1234567"]),
        ("+44 20 7946 0958 020 7946 0959", "en", ["+44 20 7946 0958", "020 7946 0959"]),
        ("020 7946 0958 020 7946 0959", "en", ["020 7946 0958", "020 7946 0959"]),
        ("020 7946 0958/020 7946 0959", "en", ["020 7946 0958", "020 7946 0959"]),
        ("+44 20 7946 0958+44 20 7946 0959", "", ["+44 20 7946 0958", "+44 20 7946 0959"]),
        ("(202) 555-0143 (202) 555-0144", "en", ["(202) 555-0143", "(202) 555-0144"]),
        ("202-555-0143 202-555-0144", "en", ["202-555-0143", "202-555-0144"]),
        ("01 23 45 67 08 01 23 45 67 09", "fr", ["01 23 45 67 08", "01 23 45 67 09"]),
        ("on 2026-03-01 020 7946 0958", "en", ["020 7946 0958"]),
        ("+44 (0)20 7946 0958", "", ["+44 (0)20 7946 0958"]),
    ],
)
def test_numbers_that_stand_next_to_each_other(text: str, language: str, found: list[str]) -> None:
    assert find(text, language) == [("phone", number) for number in found]


def test_a_telephone_number_beside_a_card_or_an_account() -> None:
    card = "4111 1111 1111 1111"
    iban = "DE89 3704 0044 0532 0130 00"

    assert find(f"020 7946 0958 {card} 020 7946 0959") == [
        ("phone", "020 7946 0958"),
        ("card", card),
        ("phone", "020 7946 0959"),
    ]
    assert find(f"+44 20 7946 0958 {card}") == [("phone", "+44 20 7946 0958"), ("card", card)]
    assert find(f"{iban} 030 901820", "de") == [("iban", iban), ("phone", "030 901820")]


def test_so_many_stretches_of_a_document_are_looked_up() -> None:
    lookups = phones.Lookups(left=1)

    first = pii.find_pii("020 7946 0958", "en", lookups)
    second = pii.find_pii("020 7946 0959", "en", lookups)

    assert (len(first), len(second)) == (1, 0)


def test_a_table_of_digits_does_not_keep_the_analysis_busy() -> None:
    texts = ("1 2 3 4 5 6 7 x " * 6250, "01 02 03 04 05 06 07 x " * 6250)
    document = build_ticket(*(message(Role.CUSTOMER, text) for text in texts))
    started = time.process_time()

    pii.search_document(document, "en")

    assert time.process_time() - started < 3.0


@pytest.mark.parametrize("iban", ["GB82WEST12345698765432", "DE89 3704 0044 0532 0130 00"])
def test_the_rest_of_an_iban_by_97_is_one(iban: str) -> None:
    assert numbers.passes_mod_97(iban)
    assert not numbers.passes_mod_97(iban[:-1] + str((int(iban[-1]) + 1) % 10))


def test_luhn_by_hand() -> None:
    """7-9-9-2-7-3-9-8-7-1-3: doubled from the right 2, 16, 6, 4, 18 -> 2 + 7 + 6 + 4 + 9 = 28, the
    others 3 + 7 + 9 + 7 + 9 + 7 = 42, together 70."""
    assert numbers.passes_luhn("79927398713")
    assert not numbers.passes_luhn("79927398710")


def test_the_longest_of_those_that_overlap_stays() -> None:
    short = Candidate(0, 5, PiiType.CARD)
    long = Candidate(3, 10, PiiType.PHONE)
    apart = Candidate(10, 12, PiiType.EMAIL)
    equal = Candidate(3, 10, PiiType.IBAN)

    assert candidates.resolve([short, long, apart, equal]) == [equal, apart]


def test_places_are_those_of_the_full_text_and_quoted_replies_are_searched_too() -> None:
    full = "See below. > ada@example.com wrote"
    unit = message(Role.AGENT, "See below." + " " * 24)._replace(full_text=full)

    found, redacted = pii.search_document(build_ticket(unit, redact_pii=True), "en")

    (span,) = found.spans
    assert full[span.begin : span.end] == "ada@example.com"
    assert (found.counts, span.segment_id) == ({"email": 1}, "0")
    assert redacted == {"0": "See below. > [EMAIL] wrote"}


def test_redacted_texts_are_made_only_where_they_are_asked_for() -> None:
    texts = ("a@b.example and +44 20 7946 0958", "nothing")
    document = build_ticket(*(message(Role.AGENT, text) for text in texts))

    found, redacted = pii.search_document(document, "en")

    assert found.counts == {"email": 1, "phone": 1}
    assert redacted == {}


def test_the_list_is_bounded_and_the_count_is_not() -> None:
    document = build_ticket(message(Role.AGENT, "a@b.example " * 1500), redact_pii=True)

    found, redacted = pii.search_document(document, "en")

    assert len(found.spans) == pii.MAX_SPANS
    assert found.counts == {"email": 1500}
    assert "@" not in redacted["0"]


SHAPES = {
    "letters": "a",
    "digits": "1",
    "spaced digits": "1 ",
    "groups": "123 ",
    "card groups": "4111 ",
    "at signs": "@",
    "half addresses": "a@",
    "dotted": "a@b.",
    "dots": ".",
    "hyphens": "a-",
    "colons": "1:",
    "hex": "abcdef",
    "addresses": "1.1.1.1.",
    "countries": "GB82 ",
    "births": "born ",
    "births with dates": "born 1.1.",
    "plus": "+1 ",
    "brackets": "(1)",
    "marks": "\u0301",
    "right to left": "\u202e\u05d0",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_time_grows_with_the_length_and_not_faster(shape: str) -> None:
    def measure(characters: int) -> float:
        text = (shape * (characters // len(shape) + 1))[:characters]
        began = time.process_time()
        pii.find_pii(text, "en")
        return time.process_time() - began

    measure(1000)
    small, large = measure(16_384), measure(16 * 16_384)

    # Twice what is linear, and a little for the clock; what is quadratic takes 256 times as long.
    assert large < 32 * small + 0.1
