"""A picture of what a guest's screen shows, small enough for a page.

Source: libvirt.org/html/libvirt-libvirt-domain.html (virDomainScreenshot). QEMU answers in PPM, the `test:` driver
in PNG.
"""

from io import BytesIO

import libvirt
from django.utils.translation import gettext as _

from virt.errors import VirtError, translated

PIECE_BYTES = 256 * 1024
MOST_BYTES = 64 * 1024 * 1024  # a screen of 4096x2160 has 27 MB
SIZE = (640, 480)
COLOURS = 128


def picture_of(conn: "libvirt.virConnect", uuid: str) -> bytes:
    """What its first screen shows now, as a PNG of at most 640x480. Raises VirtError, also for one without a screen."""
    with translated():
        domain = conn.lookupByUUIDString(uuid)
        stream = conn.newStream(0)
        domain.screenshot(stream, 0, 0)
        raw = bytearray()
        while piece := stream.recv(PIECE_BYTES):
            raw += piece
            if len(raw) > MOST_BYTES:
                stream.abort()
                raise VirtError(_("The picture of the screen is too large."))
        stream.finish()
    return small_png(bytes(raw))


def small_png(raw: bytes) -> bytes:
    """A PPM or PNG made small: fewer points, fewer colours. Raises VirtError if it is neither."""
    from PIL import Image, UnidentifiedImageError  # some megabytes that a watch without lookers does not need

    try:
        with Image.open(BytesIO(raw), formats=("PPM", "PNG")) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise VirtError(_("The picture of the screen can't be read."), str(error)) from error
    image.thumbnail(SIZE)
    written = BytesIO()
    image.quantize(COLOURS).save(written, "PNG", optimize=True)
    return written.getvalue()
