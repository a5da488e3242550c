"""Long lists in pieces: limit and offset, within what a database can count."""

from ninja import Field
from ninja.pagination import LimitOffsetPagination

MOST = 1000
FARTHEST = 2**31


class Pieces(LimitOffsetPagination):
    class Input(LimitOffsetPagination.Input):
        limit: int = Field(100, ge=1, le=MOST)
        offset: int = Field(0, ge=0, le=FARTHEST)
