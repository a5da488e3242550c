"""libvirt's and SSH's errors in plain words. Source of the codes: libvirt's virterror.h (virErrorNumber)."""

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt
from django.utils.translation import gettext as _


class VirtError(Exception):
    """Something a host refused or could not do: `message` in plain words, `technical` as libvirt or ssh said it."""

    def __init__(self, message: str, technical: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.technical = technical
        self.code = code


class HostUnreachable(VirtError):
    """No answer: connection refused, timed out, or lost in the middle of a call."""


class HostKeyChanged(HostUnreachable):
    """The host showed another SSH key than the pinned one."""


class AuthenticationFailed(HostUnreachable):
    """The host answers but does not let us in."""


class NotFound(VirtError):
    """The VM, pool, volume or network is not there (any more)."""


class AlreadyExists(VirtError):
    """A thing with this name or UUID exists already."""


class Unsupported(VirtError):
    """This libvirt, driver or QEMU can't do it."""


class WrongState(VirtError):
    """Not possible in the present state (not running, already active, locked by another job)."""


class NoSpace(VirtError):
    """The pool or its file system is full."""


class Aborted(VirtError):
    """The operation was aborted on request."""


_NOT_FOUND = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_SECRET,
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
}
_EXISTS = {libvirt.VIR_ERR_DOM_EXIST, libvirt.VIR_ERR_NETWORK_EXIST, libvirt.VIR_ERR_STORAGE_VOL_EXIST}
_UNSUPPORTED = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
}
_UNREACHABLE = {libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_RPC}
_CONNECTION_DOMAINS = {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}


def translate(error: "libvirt.libvirtError") -> VirtError:
    """The VirtError for a libvirtError."""
    code, text = error.get_error_code(), error.get_error_message() or str(error)
    lower = text.lower()
    if "no space left" in lower or "disk quota exceeded" in lower:
        return NoSpace(_("There is no space left on the pool."), text, code)
    if code in _NOT_FOUND:
        return NotFound(_("It is not on the host (any more)."), text, code)
    if code in _EXISTS or "already exists" in lower:
        return AlreadyExists(_("Something with this name exists already on the host."), text, code)
    if "host key verification failed" in lower or "remote host identification has changed" in lower:
        return HostKeyChanged(_("The host shows another SSH key than the pinned one."), text, code)
    if "permission denied" in lower and error.get_error_domain() in _CONNECTION_DOMAINS:
        return AuthenticationFailed(_("The host does not accept Drover's key."), text, code)
    if code in _UNREACHABLE and error.get_error_domain() in _CONNECTION_DOMAINS:
        return HostUnreachable(_("The host does not answer."), text, code)
    if code in {libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_INVALID_CONN} and (
        "client socket is closed" in lower or "connection closed" in lower or "keepalive" in lower
    ):
        return HostUnreachable(_("The connection to the host was lost."), text, code)
    if code in _UNSUPPORTED:
        return Unsupported(_("The host can't do this: %(text)s") % {"text": text}, text, code)
    if code in {libvirt.VIR_ERR_OPERATION_ABORTED}:
        return Aborted(_("It was aborted."), text, code)
    if code in {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_DENIED}:
        return WrongState(_("Not possible now: %(text)s") % {"text": text}, text, code)
    return VirtError(text[:1].upper() + text[1:], text, code)


@contextmanager
def translated() -> Iterator[None]:
    """Turns every libvirtError raised inside into a VirtError."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error) from error
