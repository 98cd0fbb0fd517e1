"""No other program decides whether a kernel of these tests comes up; if one does not, it says why."""

import os

import nbval.kernel
import psutil
import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel


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
