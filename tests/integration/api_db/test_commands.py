"""The commands as a deployer runs them, each in a process of its own."""

import asyncio
import json
import os
import pathlib
import sys

import pytest
from parlance.api.db import session
from parlance.api.identity import keys
from parlance.runtime.clock import SystemClock

from tests.integration.api_db import support
from tests.integration.databases import Urls


async def run(urls: Urls, *arguments: str) -> tuple[int, str, str]:
    environment = os.environ | {
        "PARLANCE_DATABASE_URL": urls.app,
        "PARLANCE_DATABASE_OWNER_URL": urls.owner,
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parlance.api", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await started.communicate()
    assert started.returncode is not None
    return started.returncode, out.decode(), err.decode()


async def test_migrate_and_bootstrap_from_nothing(empty_urls: Urls, tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        code, out, err = await run(empty_urls, "migrate")
        assert code == 0, err
        assert out == "The schema is up to date; the application role is parlance_app.\n"

    file = tmp_path / "parlance.env"
    arguments = ["--company", "Acme", "--agent", "Ann Agent=EXT-456", "--write-env", str(file)]
    code, out, err = await run(empty_urls, "bootstrap", *arguments)
    assert code == 0, err
    printed = json.loads(out)
    assert "api_key" not in printed
    assert set(printed["agents"]) == {"EXT-456"}
    variables = dict(line.split("=", 1) for line in file.read_text().splitlines())
    async with session.open_database(support.build_settings(empty_urls)) as database:
        principal = await keys.KeyRing(database, SystemClock()).verify_key(
            variables["PARLANCE_API_KEY"]
        )
    assert principal.company_slug == "acme"


async def test_bootstrap_prints_secrets_once(urls: Urls) -> None:
    printed = [json.loads((await run(urls, "bootstrap", "--company", "Acme"))[1]) for _ in range(2)]

    assert printed[0]["api_key"].startswith("pk_live_")
    assert printed[1]["api_key"] is None


async def test_a_wrong_setting_is_named(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANCE_MAX_LIVE_JOBS", "many")
    code, _, err = await run(urls, "migrate")

    assert code == 2
    assert "max_live_jobs" in err.lower()


async def test_a_database_that_is_away_is_one_sentence(urls: Urls) -> None:
    nowhere = Urls(owner="postgresql://a:b@127.0.0.1:1/x", app="postgresql://a:b@127.0.0.1:1/x")
    for command in (["migrate"], ["bootstrap", "--company", "Acme"]):
        code, _, err = await run(nowhere, *command)

        assert code == 1
        assert "Traceback" not in err
        assert "database" in err
