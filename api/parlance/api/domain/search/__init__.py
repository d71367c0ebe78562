"""Full text search over what companies store, for any list: from `q` to keys and highlights.

`finding` is what areas call; `terms` is the language of `q`, `queries` what Postgres gets, `pages`
finds the rows of a page, `highlights` marks the words. What is special about a list is in
`searching` of its area; the functions behind it are in `db.search`.
"""
