"""How the child says no: a problem code of `parlance.contracts.problems` and a sentence."""


class Refusal(Exception):
    """The file cannot be used; `main` reports it to the parent."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
