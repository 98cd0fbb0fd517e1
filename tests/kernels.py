"""Kernels for tests, which no other program can keep from starting.

A kernel is told five TCP ports that were free when its client looked. On a busy machine another program may
have one of them before the kernel has: then the kernel ends, or is never ready. So its sockets are files in
a folder of their own. Windows has no such sockets.
"""

import os
import sys
import tempfile

from jupyter_client.manager import KernelManager
from traitlets import default


class PrivateKernel(KernelManager):
    """A kernel manager whose kernel listens on files instead of ports, where the platform can."""

    _folder = None

    @default("transport")
    def _by_file(self):
        return "tcp" if sys.platform == "win32" else "ipc"

    @default("ip")
    def _where(self):
        if self.transport == "tcp":
            return "127.0.0.1"
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        return os.path.join(self._folder.name, "socket")

    def cleanup_connection_file(self):  # not called before a restart, which uses the files again
        super().cleanup_connection_file()
        if self._folder is not None:
            self._folder.cleanup()


def start_kernel(**options):
    """A kernel that is ready: its manager and its client. The options go to `KernelManager.start_kernel`."""
    manager = PrivateKernel()
    manager.start_kernel(**options)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
    except BaseException:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        raise
    return manager, client
