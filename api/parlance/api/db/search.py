"""The functions that answer full text searches from the index, as statements for migrations.

Operators of full text search are not leakproof, so under row security Postgres evaluates them
behind the policies only, that is: never with an index. These functions run as another role than
their caller (`searcher` says which), whom the policy `search` lets read ids and search vectors of
all companies; a function hands out the ids of one company, and only to a session of that company.
They are the only way to that role.

Released migrations run these statements too, so the text here never changes; another search gets
a function of its own.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Search:
    """A function `name(company uuid, query tsquery)` that gives the ids of what matches, each once
    and in no order."""

    name: str
    table: str
    id_column: str
    is_key: bool
    """Whether `table` has one row for each id."""

    @property
    def signature(self) -> str:
        return f"{self.name}(uuid, tsquery)"

    @property
    def columns(self) -> tuple[str, ...]:
        """What the function reads."""
        return (self.id_column, "company_id", "search")

    @property
    def index(self) -> str:
        return f"ix_{self.table}_search"


CALLS = Search("search_call_ids", "call_segments", "call_id", is_key=False)
TICKETS = Search("search_ticket_ids", "ticket_contents", "ticket_id", is_key=True)
SEARCHES = (CALLS, TICKETS)

POLICY = "search"


def build_index(search: Search) -> str:
    """The company is in the index as an array of one, for which Postgres has an operator class of
    its own (for plain uuids only with the extension btree_gin): the lists of company and word are
    intersected, so that a company does not read through what others have of a word. Its list of
    pending entries stays on: it adds 4 ms to a search at most, and without it a batch of 1,000
    tickets takes 2.3 s to write instead of 0.4 s."""
    return f"CREATE INDEX {search.index} ON {search.table} USING gin ((ARRAY[company_id]), search)"


def build_function(search: Search) -> list[str]:
    """The function, which nobody but its owner may execute yet. Without the index it would have to
    read every vector, hence `enable_seqscan`, and a plan is made for each query."""
    distinct = "" if search.is_key else "DISTINCT "
    function = f"""
        CREATE FUNCTION {search.name}(company uuid, query tsquery) RETURNS SETOF uuid
        LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET enable_seqscan = off
        SET plan_cache_mode = force_custom_plan
        AS $$
        BEGIN
            IF company IS DISTINCT FROM nullif(current_setting('app.company', true), '')::uuid THEN
                RAISE insufficient_privilege USING MESSAGE = 'the session is not of this company';
            END IF;
            RETURN QUERY
                SELECT {distinct}found.{search.id_column} FROM public.{search.table} AS found
                WHERE ARRAY[found.company_id] @> ARRAY[company] AND found.search @@ query;
        END
        $$
    """  # noqa: S608 - the names are the constants above
    return [function, f"REVOKE ALL ON FUNCTION {search.signature} FROM PUBLIC"]
