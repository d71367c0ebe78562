"""Entry of the child: one job, one answer, exit. Or of the template that forks such children.

Everything that can go wrong with the file ends as an error message on the socket; what remains
(a crash, a limit) the parent sees as the end of the process.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from parlance.media.child import sandbox
from parlance.media.child.channel import Channel
from parlance.media.child.refusal import Refusal


def main() -> None:
    """`argv`: role, descriptor, process id of the parent."""
    role, descriptor, parent_pid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if role == "template":
        from parlance.media.child import template

        template.serve(descriptor, parent_pid, run_job)
    else:
        run_job(descriptor, parent_pid)


def run_job(descriptor: int, parent_pid: int) -> NoReturn:
    """Do the job that comes through the socket, and exit. Status 1: it could not be set up."""
    status = 0
    try:
        _answer(Channel(descriptor), parent_pid)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the top of the program; a child has nowhere to log
        status = 1
    os._exit(status)  # no clean-up: there is nothing to clean, and exit handlers are the template's


def _answer(channel: Channel, parent_pid: int) -> None:
    job = json.loads(channel.receive())
    run = _prepare(channel, job, parent_pid)  # what fails here says nothing about the file
    try:
        run()
    except Refusal as refusal:
        channel.send_message({"kind": "error", "code": refusal.code, "detail": refusal.detail})
    except MemoryError:
        _report_undecodable(channel, "it needs more memory than one file may use")
    except (ImportError, BrokenPipeError, ConnectionResetError):
        raise  # a broken installation, or a parent that is gone, say nothing about the file
    except Exception as error:  # noqa: BLE001 - the top of the program: any failure is an answer
        _report_undecodable(channel, f"the decoder failed ({type(error).__name__})")


def _prepare(channel: Channel, job: dict[str, Any], parent_pid: int) -> Callable[[], None]:
    """Everything up to the first byte of the file. The parent gives none before it has seen the
    report."""
    sandbox.confine(job, parent_pid)
    # FFmpeg is loaded after the limits and before the file system is closed.
    from parlance.media.child import decoding, measuring, remote

    decoding.warm_up()
    channel.send_message({"kind": "sandbox", "protections": sandbox.lock()})
    file = remote.RemoteFile(channel, job["size_bytes"], job["max_read_bytes"])
    run = measuring.run if job["mode"] == "probe" else decoding.run
    return functools.partial(run, channel, file, job)


def _report_undecodable(channel: Channel, detail: str) -> None:
    channel.send_message({"kind": "error", "code": "undecodable_audio", "detail": detail})
