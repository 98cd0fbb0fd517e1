"""No other program decides whether a kernel of these tests comes up; if one does not, it says why.

And what its children had is gone when it ends.
"""

import os
import sys
import time

import nbval.kernel
import psutil
import pytest
from leftovers import PATIENCE, SHARED
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel

HAVE_A_LOCK = """
import signal, time
from multiprocessing import get_context
signal.signal(signal.SIGINT, signal.SIG_IGN)
lock = get_context("spawn").Lock()
pipe.send(lock._semlock.name)
time.sleep(600)
"""
A_CHILD_HAS_A_LOCK = f"""
from multiprocessing import get_context
mp = get_context("spawn")
ours, its = mp.Pipe()
child = mp.Process(target=exec, args=({HAVE_A_LOCK!r}, {{"pipe": its}}))
child.start()
print(ours.recv())
"""


@pytest.mark.skipif(os.name == "nt", reason="a kernel on Windows has to listen on ports")
def test_a_kernel_is_told_no_port_and_leaves_no_socket():
    kernel = RunningKernel(CURRENT_ENV_KERNEL_NAME)
    process, sockets = psutil.Process(kernel.km.provisioner.pid), os.path.dirname(kernel.km.ip)
    taken = {each.laddr.port for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    told = set(kernel.km.ports)
    assert os.listdir(sockets)
    kernel.stop()
    assert not os.path.exists(sockets)
    assert len(told) == 5
    assert not told & taken  # the debugger's port is one that it finds itself


def test_a_kernel_that_does_not_come_up_says_why():
    with pytest.raises(RuntimeError) as caught:
        nbval.kernel.start_new_kernel(
            kernel_name=CURRENT_ENV_KERNEL_NAME,
            stderr=None,
            extra_arguments=["--IPKernelApp.transport=pigeon"],
        )
    assert "pigeon" in caught.value.__notes__[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its semaphores")
def test_a_child_of_a_kernel_leaves_no_semaphore():
    kernel, told = RunningKernel(CURRENT_ENV_KERNEL_NAME), []
    kernel.kc.execute_interactive(
        A_CHILD_HAS_A_LOCK, timeout=PATIENCE, output_hook=lambda m: told.append(m["content"].get("text", ""))
    )
    semaphore = SHARED / f"sem.{''.join(told).strip().removeprefix('/')}"
    assert semaphore.exists()
    kernel.stop()
    deadline = time.monotonic() + PATIENCE
    while semaphore.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
