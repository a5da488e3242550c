"""How a row can be reached by what somebody was given. Each model that people see says it in its attribute `reach`."""

from typing import NamedTuple


class Reach(NamedTuple):
    """permission: what it takes to see a row. The rest are look-up paths from the row, "" where there is none."""

    permission: str
    owner: str = ""  # the person whose own it is
    vm: str = ""
    group: str = ""
    pool: str = ""
    has_target: bool = False  # it is about something, by target_kind and target_key
