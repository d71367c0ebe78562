"""The API and the recorder: the only processes that know Postgres."""
