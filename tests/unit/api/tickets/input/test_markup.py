"""HTML as plain text."""

import pytest
from parlance.api.domain.tickets.input import markup


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
        ("<scr<b>ipt>alert(1)</script>x<br>", "x"),
        ("x<!-- <p>hidden</p> -->y<br>", "xy"),
        ("<img src=x onerror=alert(2)>x", "x"),
        ("<pre>a\n  b</pre>c", "a\n  b\nc"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<p>mine</p><blockquote><p>old</p></blockquote>end", "mine\n> old\nend"),
        ("<p>see <ada@example.com>, 1 < 2 &lt;b&gt;</p>", "see <ada@example.com>, 1 < 2 <b>"),
        ("<o:p></o:p><p>Outlook</p>", "Outlook"),
        ("<p>open <i>ended", "open ended"),
        ("</blockquote></pre><p>x", "x"),
    ],
)
def test_what_people_would_read_is_left(source: str, text: str) -> None:
    assert markup.parse_html(source) == text


@pytest.mark.parametrize(
    "piece",
    [
        "<div>", "<x>", "<font color=1><p>", "<blockquote>", "<pre>", "<ul><li>", "<svg><p>",
        '<a href="', "<a b=", "<!--", "<", "<table><tr><td>", "<script>", "&lt;",
    ],
)  # fmt: skip
def test_a_hostile_text_stays_as_long_as_it_is(piece: str) -> None:
    source = piece * (64 * 1024 // len(piece))

    assert len(markup.parse_html(source)) <= 2 * len(source)
