"""The rows that `bench.search` searches: two companies of the same size, made inside Postgres."""

import uuid
from dataclasses import dataclass

import asyncpg

MESSAGES_PER_TICKET = 20
SEGMENTS_PER_CALL = 20
WORDS = 20_000
TEXTS = 50_000
"""Distinct messages of about 25 words. Tickets and segments are put together from them, which is
quicker than drawing 100 million words and leaves the frequencies as they are."""


@dataclass(frozen=True)
class Sizes:
    """Rows of each company."""

    tickets: int
    segments: int


# The word of rank r comes with a probability proportional to 1/r, as in natural language.
_VOCABULARY = f"""
CREATE UNLOGGED TABLE bench_texts AS
SELECT t AS n, string_agg(
    'w' || translate(floor(exp(random() * ln({WORDS})))::int::text, '0123456789', 'abcdefghij'),
    ' ') AS text
FROM generate_series(0, {TEXTS} - 1) t, generate_series(1, 25) w GROUP BY t;
ALTER TABLE bench_texts ADD PRIMARY KEY (n);
ANALYZE bench_texts;
"""  # noqa: S608 - the numbers above

_COMPANY = """
INSERT INTO companies (id, slug, name) VALUES ('{company}', '{slug}', '{slug}');
INSERT INTO users (id, company_id, name, extension_id, role)
SELECT gen_random_uuid(), '{company}', 'User ' || n, 'EXT-' || n, 'agent'
FROM generate_series(1, 50) n;
"""

_TICKETS = """
INSERT INTO tickets (id, company_id, external_id, subject, channel, status, customer, user_id, tags,
    language, redact_pii, content_hash, revision, message_count, state, attempt, sentiment_label,
    tracker_names, created_at, received_at, updated_at)
SELECT gen_random_uuid(), '{company}', 'Z-' || n, 'Ticket ' || n,
    (ARRAY['email', 'chat', 'phone', 'web'])[1 + n % 4],
    (ARRAY['open', 'pending', 'resolved', 'closed'])[1 + (n / 4) % 4],
    jsonb_build_object('external_id', 'C-' || n % 20000,
        'name', CASE WHEN n % 2 = 0 THEN 'Guest' ELSE 'Customer ' || n % 20000 END,
        'email', 'c' || n % 20000 || '@example.com'),
    users.id, ARRAY['tag' || n % 40, 'topic' || n % 1000], 'auto', false, '\\x00', 1, {messages},
    CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 500 = 1 THEN 'queued' ELSE 'completed' END, 1,
    (ARRAY['positive', 'neutral', 'negative'])[1 + n % 3],
    CASE WHEN n % 50 = 0 THEN ARRAY['refund'] ELSE '{{}}' END,
    now() - n * interval '5 minutes', now(), now() - (n * 7919 % {tickets}) * interval '1 minute'
FROM generate_series(1, {tickets}) n
JOIN (SELECT id, row_number() OVER () AS place FROM users WHERE company_id = '{company}') users
  ON users.place = 1 + n % 50;
INSERT INTO ticket_contents (ticket_id, company_id, messages, search)
SELECT ticket.id, '{company}', body.messages,
       to_tsvector('simple', ticket.subject || E'\\n' || body.text)
FROM tickets ticket CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('index', i, 'role', 'customer', 'text', text)) AS messages,
           string_agg(text, E'\\n') AS text
    FROM generate_series(0, {messages} - 1) i
    JOIN bench_texts ON n = abs(hashtext(ticket.id::text || i)) % {texts}
) body WHERE ticket.company_id = '{company}';
"""

_CALLS = """
INSERT INTO calls (id, company_id, status, attempt, percent, language, redact_pii, allow_duplicate,
    duration_estimated, customer_name, created_at, updated_at)
SELECT gen_random_uuid(), '{company}',
    CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END, 1, 100, 'auto', false, false, false,
    'Customer ' || n % 500, now() - n * interval '1 hour', now()
FROM generate_series(1, {calls}) n;
INSERT INTO call_segments (call_id, index, company_id, id, channel, speaker, start_seconds,
    end_seconds, text)
SELECT call.id, i, '{company}', '0-' || i, 0, 'speaker_0', i, i + 1, text
FROM calls call, generate_series(0, {segments} - 1) i
JOIN bench_texts ON true WHERE n = abs(hashtext(call.id::text || i)) % {texts}
  AND call.company_id = '{company}';
"""


async def fill(connection: asyncpg.Connection, companies: list[uuid.UUID], sizes: Sizes) -> None:
    """As an administrator, whom row security does not bind."""
    await connection.execute("SELECT setseed(0.5)")
    await connection.execute(_VOCABULARY)
    for place, company in enumerate(companies):
        for statements in (_COMPANY, _TICKETS, _CALLS):
            await connection.execute(
                statements.format(
                    company=company,
                    slug=f"company-{place}",
                    tickets=sizes.tickets,
                    messages=MESSAGES_PER_TICKET,
                    calls=sizes.segments // SEGMENTS_PER_CALL,
                    segments=SEGMENTS_PER_CALL,
                    texts=TEXTS,
                )
            )
    await connection.execute("DROP TABLE bench_texts")
    await connection.execute("VACUUM ANALYZE")
