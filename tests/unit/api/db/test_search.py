"""The statements that released migrations run do not change."""

from parlance.api.db import search
from parlance.api.db.search import Search

SEARCH = Search("search_thing_ids", "things", "thing_id", is_key=False)
FUNCTION = """
    CREATE FUNCTION search_thing_ids(company uuid, query tsquery) RETURNS SETOF uuid
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
            SELECT DISTINCT found.thing_id FROM public.things AS found
            WHERE ARRAY[found.company_id] @> ARRAY[company] AND found.search @@ query;
    END
    $$
"""


def test_the_statements_are_those_of_the_first_release() -> None:
    function, revoke = search.build_function(SEARCH)

    assert function.split() == FUNCTION.split()
    assert revoke == "REVOKE ALL ON FUNCTION search_thing_ids(uuid, tsquery) FROM PUBLIC"
    assert search.build_index(SEARCH) == (
        "CREATE INDEX ix_things_search ON things USING gin ((ARRAY[company_id]), search)"
    )


def test_a_table_with_one_row_for_each_id_needs_no_distinct() -> None:
    function, _ = search.build_function(search.TICKETS)

    assert "DISTINCT FROM" in function
    assert "SELECT found.ticket_id" in function
