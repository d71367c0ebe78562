"""The OpenAPI document says what the API does: schemathesis asks all that the document allows, and
much that it does not, in every way it knows.

The API runs as it is served, on real servers. Its hub is closed, as in a process that is about to
end, so that streams and long polls end at once.
"""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import pytest
import uvicorn
from parlance.api import asgi, wiring
from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.api.settings import HttpSettings, Settings
from parlance.contracts.calls import CallStatus
from parlance.contracts.tickets import TicketState
from parlance.runtime.settings import KubeSettings

from devstack.controlplane.server import ControlPlane
from tests.integration.api_db.tickets import support as ticket_rows
from tests.integration.api_web import support
from tests.integration.api_web.support import Account
from tests.integration.api_web.upstream import Upstream

EXAMPLES = 100
"""For each operation, beside those that schemathesis finds without chance."""
SEED = 1
KNOWN_CALLS = 10
"""That exist, of each status. Half of the requests name one of them."""
UNWANTED_CHECKS = (
    # Some rules cannot be said in a schema: that a file is audio, that a cursor was given out
    # before, that two keys are the same.
    "positive_data_acceptance",
    # A number is accepted as a point in time as well.
    "negative_data_rejection",
)
CONFIGURATION = """
[dictionaries]
calls.values = {calls}
tickets.values = {tickets}
doomed.values = {doomed}
addresses.values = {addresses}

[parameters]
"path.call_id" = {{ dictionary = "calls", probability = 0.5 }}
"path.ticket_id" = {{ dictionary = "tickets", probability = 0.5 }}
"body.call_url" = {{ dictionary = "addresses", probability = 0.9 }}
"body.audio_url" = {{ dictionary = "addresses", probability = 0.9 }}

[[operations]]
include-operation-id = ["deleteCall", "cancelCall"]
parameters = {{ "path.call_id" = {{ dictionary = "doomed", probability = 0.5 }} }}

[[operations]]
include-operation-id = ["deleteTicket"]
parameters = {{ "path.ticket_id" = {{ dictionary = "doomed", probability = 0.5 }} }}

# Each of these is a sequence of many requests.
[phases.stateful.generation]
max-examples = 20
"""


@pytest.fixture
async def described(
    settings: Settings, control_plane: ControlPlane, upstream: Upstream, tmp_path: pathlib.Path
) -> AsyncIterator["Described"]:
    changed = dataclasses.replace(
        settings,
        kube=KubeSettings(kubeconfig=control_plane.kubeconfig, namespace="default"),
        http=HttpSettings(
            fetch_allowed_hosts=("127.0.0.1/32",),
            fetch_refusal_seconds=0.0,
            fetch_timeout_seconds=2.0,
        ),
    )
    objects = pathlib.Path(settings.store.store_url.removeprefix("file://"))
    async with session.open_database(settings.database) as database:
        acme = await support.add_account(database, "acme")
        calls, doomed = [await add_calls(database, acme, objects) for _ in range(2)]
        tickets, doomed_tickets = [await add_tickets(database, acme) for _ in range(2)]
        configuration = CONFIGURATION.format(
            calls=json.dumps(calls),
            tickets=json.dumps(tickets),
            doomed=json.dumps([*doomed, *doomed_tickets]),
            addresses=json.dumps([upstream.url]),
        )
        (tmp_path / "schemathesis.toml").write_text(configuration)
        async with open_ending_api(changed) as url:
            yield Described(url, acme, tmp_path)


@dataclasses.dataclass(frozen=True)
class Described:
    """A running API, and the folder in which schemathesis finds what it has to know."""

    url: str
    account: Account
    folder: pathlib.Path

    async def run_schemathesis(self, *options: str) -> tuple[int, str]:
        """Exit status and output."""
        log = self.folder / "schemathesis.log"
        with log.open("w") as out:
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "schemathesis.cli", "run",
                f"{self.url}/api/docs/openapi.json",
                f"--seed={SEED}",
                f"--exclude-checks={','.join(UNWANTED_CHECKS)}",
                "--generation-database=none",
                "--no-color",
                *options,
                cwd=self.folder, stdout=out, stderr=out,
            )  # fmt: skip
            status = await running.wait()
        return status, log.read_text()


@contextlib.asynccontextmanager
async def open_ending_api(settings: Settings) -> AsyncIterator[str]:
    """The address of the API."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as bound:
        async with wiring.open_wired(settings) as wired:
            await wired.hub.wait_live(10)
            wired.hub.close()
            app = asgi.create_app(settings.http, wired)
            server = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None))
            serving = asyncio.create_task(server.serve(sockets=[bound]))
            try:
                yield f"http://127.0.0.1:{bound.getsockname()[1]}"
            finally:
                server.should_exit = True
                await serving


async def add_calls(database: Database, account: Account, objects: pathlib.Path) -> Sequence[str]:
    """Calls of every status, with audio, and with results where there are some."""
    key = f"{account.slug}/calls/x/audio.wav"
    (objects / key).parent.mkdir(parents=True, exist_ok=True)
    (objects / key).write_bytes(support.make_wav())
    found = []
    for status in [status for status in CallStatus for _ in range(KNOWN_CALLS)]:
        call_id = await support.add_call(
            database, account, status=status, audio_key=key, media_type="audio/wav"
        )
        if status is CallStatus.COMPLETED:
            await support.complete(database, account, call_id)
        found.append(call_id)
    return found


async def add_tickets(database: Database, account: Account) -> Sequence[str]:
    """Tickets of every state, with insights where there are some."""
    found = []
    for state in [state for state in TicketState for _ in range(KNOWN_CALLS)]:
        ticket = await ticket_rows.add_ticket(database, account.id, state=state)
        if state is TicketState.COMPLETED:
            await ticket_rows.add_insights(database, ticket)
        found.append(str(ticket.id))
    return found


@pytest.mark.timeout(500)
async def test_with_a_key_every_answer_is_described_and_none_is_our_fault(
    described: Described,
) -> None:
    status, output = await described.run_schemathesis(
        f"--max-examples={EXAMPLES}", "-H", f"X-Api-Key: {described.account.key}"
    )

    assert status == 0, output


@pytest.mark.timeout(200)
async def test_without_a_key_every_answer_is_described_and_none_is_our_fault(
    described: Described,
) -> None:
    status, output = await described.run_schemathesis("--max-examples=10", "--phases=fuzzing")

    assert status == 0, output
