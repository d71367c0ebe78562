"""HTML as plain text."""

import time

import pytest
from parlance.api.domain.tickets.input import markup


def parse(source: str, *, max_characters: int = 10**9) -> str:
    return markup.parse_html(source, max_characters=max_characters)


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "write to <ada@example.com>",
        "<b and c>",
        "if x<y then <foo>",
        "List<String> names",
        "1 <2> 3",
    ],
)
def test_a_text_without_known_tags_is_no_html(text: str) -> None:
    assert not markup.is_html(text)


@pytest.mark.parametrize(
    "text",
    ["x<br>y", "x<BR/>y", "</p>", "<div class='c'>x", '<a href="http://x.example">x</a>', "<p >"],
)
def test_a_known_tag_makes_a_text_html(text: str) -> None:
    assert markup.is_html(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Hello &amp; welcome</p><p>again</p>", "Hello & welcome\nagain"),
        ("<ul><li>first</li><li>second</li></ul>end", "- first\n- second\nend"),
        ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
        ("a\n   b <b>c</b>d", "a b cd"),
        ("<script>alert(1)</script>x<style>p{color:red}</style>", "x"),
        ("<scr<b>ipt>alert(1)</script>x<br>", "ipt>alert(1)x"),
        ("x<!-- <p>hidden</p> -->y<br>", "xy"),
        ("<img src=x onerror=alert(2)>x", "x"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<p>mine</p><blockquote><p>old</p></blockquote>end", "mine\n> old\nend"),
        ("<p>see <ada@example.com>, 1 < 2 &lt;b&gt;</p>", "see <ada@example.com>, 1 < 2 <b>"),
        ("<o:p></o:p><p>Outlook</p>", "Outlook"),
        ("<p>open <i>ended", "open ended"),
        ("</blockquote></pre><p>x", "x"),
        ("<p title='a<b' class=\"c<d<e\">x</p>y", "x\ny"),
        ('<blockquote ">x<br>y</blockquote>z', "> x\n> y\nz"),
        ("<p>a<b c<p>x", "ax"),
        ("<p>1 <2 <br", "1 <2 <br"),
    ],
)
def test_what_people_would_read_is_left(source: str, text: str) -> None:
    assert parse(source) == text


@pytest.mark.parametrize(
    "piece",
    [
        "<div>", "<x>", "<font color=1><p>", "<blockquote>", "<pre>", "<ul><li>", "<svg><p>",
        '<a href="', "<a b=", "<!--", "<", "<table><tr><td>", "<script>", "&lt;", '<div ">',
        '<blockquote ">', "<div x<p>", "<blockquote x<p>", '<a "<', '<a "<b"', "<template>",
    ],
)  # fmt: skip
def test_a_hostile_text_stays_as_long_as_it_is(piece: str) -> None:
    source = piece * (256 * 1024 // len(piece))
    started_seconds = time.process_time()

    assert len(parse(source)) <= 2 * len(source)
    assert time.process_time() - started_seconds < 5  # with its square it would be minutes


@pytest.mark.parametrize("quote", ["<blockquote>", '<blockquote ">', "<blockquote x<p>"])
def test_quotes_are_shown_to_a_limited_depth(quote: str) -> None:
    found = parse(quote * 700 + "<br>x" * 2000)

    assert set(found.split("\n")) <= {"> > >", "> > > ", "> > > x"}


def test_a_text_that_grows_beyond_the_limit_stays_too_long_and_is_not_finished() -> None:
    found = parse("<blockquote>" + "x<br>" * 10_000, max_characters=5000)

    assert 5000 < len(found) < 15_000


def test_blank_lines_that_are_left_out_do_not_count() -> None:
    found = parse("a" + "<br>" * 1000 + "b", max_characters=10)

    assert found == "a\n\nb"
