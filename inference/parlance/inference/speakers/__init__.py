"""Who speaks: from channels to speaker keys and roles. Pure functions, called by the worker."""
