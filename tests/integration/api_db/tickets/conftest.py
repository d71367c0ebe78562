"""Tickets need no cluster, so none is started for them."""

from typing import Any, cast

import pytest
from parlance.runtime.kube import Kube


class _NoCluster:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"tickets do not ask the cluster: {name}")


@pytest.fixture
def kube() -> Kube:
    return cast("Kube", _NoCluster())
