"""The simulated host of the tests of VMs: it can be asked for VMs, and fails at their seeds, which it can't store.

And a mail server.
"""

from tests.notices.conftest import configured, mailbox
from tests.vms.conftest import a_vm, here, host, pool

__all__ = ["a_vm", "configured", "here", "host", "mailbox", "pool"]
