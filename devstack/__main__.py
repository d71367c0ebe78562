"""`python -m devstack`: what the Makefile calls."""

import argparse
import asyncio
import pathlib
import shlex
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

from devstack import demo, errors, stack, supervisor, triton
from devstack.controlplane import build

PLACE = supervisor.Place(stack.ROOT / ".local")


def main(argv: list[str]) -> int:
    arguments = _parse(argv)
    try:
        return _run(_dispatch(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped", file=sys.stderr)
        return 130
    except (errors.DevstackError, ExceptionGroup) as exc:
        for fault in _find_faults(exc):
            print(f"\n{fault}", file=sys.stderr)
        return 1


def _find_faults(exc: Exception) -> Iterator[errors.DevstackError]:
    """The plain faults in what a task group raised; anything else is a bug and goes on."""
    if isinstance(exc, errors.DevstackError):
        yield exc
    elif isinstance(exc, ExceptionGroup):
        for part in exc.exceptions:
            yield from _find_faults(part)
    else:
        raise exc


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("setup", "make the environments and programs that the others need"),
        ("demo", "run one call through everything and stop"),
        ("up", "start everything and leave it running"),
        ("down", "end what `up` started"),
        ("serve", "run the stack in the foreground"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--current-cluster", action="store_true", help="use KUBECONFIG")
        command.add_argument("--audio", type=pathlib.Path, help="your own file (demo)")
        command.add_argument("--port", type=int, help="port of the API (serve)")
        command.add_argument("--lock-fd", type=int, help="the lock, handed over by `up` (serve)")
    return parser.parse_args(argv)


async def _dispatch(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "setup":
            await _set_up(needs_control_plane=not arguments.current_cluster)
        case "demo":
            await demo.run(
                PLACE, audio=arguments.audio, use_current_cluster=arguments.current_cluster
            )
        case "up":
            await _set_up(needs_control_plane=not arguments.current_cluster)
            state = await supervisor.up(PLACE, use_current_cluster=arguments.current_cluster)
            _print_state(PLACE, state)
        case "down":
            print("stopped" if await supervisor.down(PLACE) else "nothing was running")
        case "serve":
            options = stack.Options(
                port=arguments.port, use_current_cluster=arguments.current_cluster
            )
            await supervisor.serve(
                PLACE,
                supervisor.open_stack(PLACE, options),
                lock_fd=arguments.lock_fd,
            )
    return 0


async def _set_up(*, needs_control_plane: bool) -> None:
    """Everything that takes long the first time."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(triton.ensure_triton_venv())
        if needs_control_plane:
            tasks.create_task(build.build_programs(build.NEEDED))


def _print_state(place: supervisor.Place, state: supervisor.State) -> None:
    # To be pasted into a shell, also where a folder's name has a space.
    kubectl, kubeconfig, environment_file, programs = (
        shlex.quote(str(path))
        for path in (state.kubectl, state.kubeconfig, place.environment_file, place.programs)
    )
    print(f"API       {state.url}   (documentation: {state.url}/api/docs)")
    print(f"API key   {state.api_key}")
    print(f"login     {state.admin_email} / {state.admin_password}   (of the interface to come)")
    print(f"kubectl   KUBECONFIG={kubeconfig} {kubectl} -n {state.namespace}")
    print(f"shell     set -a; . {environment_file}; set +a; PATH={programs}:$PATH")


def _run(main_coroutine: Coroutine[Any, Any, int]) -> int:
    """Like asyncio.run, and SIGTERM ends it as Ctrl-C does: context managers close."""

    async def cancellable() -> int:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main_coroutine

    return asyncio.run(cancellable())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
