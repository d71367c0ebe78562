"""The prepared interpreter: loads FFmpeg once, then forks a child for each file.

It reads no file, and nothing but one byte and one socket per job from its parent.
"""

import contextlib
import gc
import os
import select
import signal
import socket
from collections.abc import Callable

from parlance.media import wire
from parlance.media.child import decoding, sandbox


def serve(descriptor: int, parent_pid: int, run_job: Callable[[int, int], None]) -> None:
    """Fork until the parent closes its end. `run_job(socket, parent pid)` never returns here."""
    sandbox.follow_parent(parent_pid)
    decoding.warm_up()
    gc.collect()
    gc.freeze()  # the collector would write to every page that is shared with the children
    control = socket.socket(fileno=descriptor)
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake_reader, select.POLLIN)
    while True:
        ready = {file for file, _ in poller.poll()}
        if wake_reader in ready:
            os.read(wake_reader, 4096)
            _reap(control)
        if control.fileno() in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                return
            _start(control, descriptors[0], (wake_reader, wake_writer), run_job)


def _start(
    control: socket.socket,
    job_descriptor: int,
    own_descriptors: tuple[int, ...],
    run_job: Callable[[int, int], None],
) -> None:
    template_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(job_descriptor)
        control.send(wire.REPORT.pack(wire.FAILED, 0, 0))
        return
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        for own in own_descriptors:
            os.close(own)
        run_job(job_descriptor, template_pid)
    os.close(job_descriptor)
    process_descriptor = os.pidfd_open(pid)
    socket.send_fds(control, [wire.REPORT.pack(wire.STARTED, pid, 0)], [process_descriptor])
    os.close(process_descriptor)


def _reap(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            control.send(wire.REPORT.pack(wire.ENDED, pid, os.waitstatus_to_exitcode(status)))
