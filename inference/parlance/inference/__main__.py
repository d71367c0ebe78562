"""`python -m parlance.inference worker` and `python -m parlance.inference canary`.

Reads the environment once; `wiring` puts the parts together.
"""

import argparse
import asyncio
import sys

from parlance.inference.settings import AsrSettings, WorkerSettings
from parlance.inference.wiring import worker
from parlance.inference.wiring.work import Settings
from parlance.runtime import process, telemetry
from parlance.runtime.process import Process
from parlance.runtime.settings import (
    BusSettings,
    MediaSettings,
    StoreSettings,
    TelemetrySettings,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m parlance.inference", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="take work from the bus until stopped")
    commands.add_parser("canary", help="one real inference; exit status 0 when the model is alive")
    match parser.parse_args().command:
        case "canary":
            # Here and not above: a worker of text does without the client of the speech model.
            from parlance.inference.asr import canary

            return asyncio.run(canary.run_canary(AsrSettings()))
        case _:
            return _run_worker()


def _run_worker() -> int:
    settings = Settings(
        telemetry=TelemetrySettings(),
        bus=BusSettings(),
        store=StoreSettings(),
        media=MediaSettings(),
        asr=AsrSettings(),
        worker=WorkerSettings(),
    )
    telemetry.configure(settings.telemetry, service="worker")

    async def work(current: Process) -> None:
        await worker.run_worker(settings, current)

    return process.run(work)


if __name__ == "__main__":
    sys.exit(main())
