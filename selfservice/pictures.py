"""The picture of an offer: read once when it is uploaded, kept small in the database."""

import io
import warnings

from django.utils.translation import gettext as _
from PIL import Image, ImageOps, UnidentifiedImageError

from jobs.errors import Refused

SIZE = (640, 360)
MOST_BYTES = 10 * 1024 * 1024
KINDS = ("PNG", "JPEG", "WEBP", "GIF")


def read(data: bytes) -> bytes:
    """WebP of at most 640 × 360 points; nothing else of what was uploaded is kept. Raises Refused."""
    if len(data) > MOST_BYTES:
        raise Refused(_("At most 10 MiB."), field="picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=KINDS) as image:
                image.load()
                small = ImageOps.exif_transpose(image)
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise Refused(_("This is no picture: PNG, JPEG, WebP or GIF."), field="picture") from error
    small = small.convert("RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB")
    small.thumbnail(SIZE)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=85)
    return out.getvalue()
