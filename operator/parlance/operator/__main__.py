"""`python -m parlance.operator`: reads the settings once and runs until SIGTERM."""

import sys

from parlance.operator import wiring
from parlance.operator.settings import OperatorSettings
from parlance.runtime import process, telemetry
from parlance.runtime.settings import BusSettings, KubeSettings, TelemetrySettings


def main() -> int:
    settings = wiring.Settings(
        operator=OperatorSettings(),
        bus=BusSettings(),
        kube=KubeSettings(),
        telemetry=TelemetrySettings(),
    )
    telemetry.configure(settings.telemetry, service="operator")
    return process.run(lambda running: wiring.run(running, settings))


if __name__ == "__main__":
    sys.exit(main())
