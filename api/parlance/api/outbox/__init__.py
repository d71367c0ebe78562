"""What has to happen outside of Postgres once a transaction is committed."""
