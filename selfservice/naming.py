"""The names of several VMs from one pattern: "web-##" stands for web-01, web-02…"""

import itertools
import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from jobs.errors import Refused
from virt import names
from vms.checks import words
from vms.models import Vm

SIGNS = re.compile(r"#+")


def split(pattern: str, count: int) -> tuple[str, int, str]:
    """What is before the number, its digits (0: there is none), and what is behind it."""
    found = SIGNS.search(pattern)
    if found:
        return pattern[: found.start()], len(found.group()), pattern[found.end() :]
    return (pattern, 0, "") if count == 1 else (f"{pattern}-", max(2, len(str(count))), "")


def numbered(pattern: str, count: int) -> Iterator[str]:
    """The names of a pattern, endlessly; without a place for a number the second is called name-2."""
    before, digits, after = split(pattern, count)
    if digits:
        yield from (f"{before}{number:0{digits}d}{after}" for number in itertools.count(1))
    else:
        yield before
        yield from (f"{before}-{number}" for number in itertools.count(2))


def first(pattern: str, count: int) -> list[str]:
    """The names if nobody has any of them yet."""
    return list(itertools.islice(numbered(pattern, count), count))


def free(pattern: str, count: int, missing: int) -> list[str]:
    """So many names that no VM of the cluster has."""
    before, _digits, _after = split(pattern, count)
    taken = set(Vm.objects.filter(name__startswith=before).order_by().values_list("name", flat=True))
    return list(itertools.islice((name for name in numbered(pattern, count) if name not in taken), missing))


def check(pattern: str, count: int) -> None:
    """Raise Refused if these can't be names of VMs. Whether others have them already is nobody's business here."""
    if len(SIGNS.findall(pattern)) > 1:
        raise Refused(_("Only one place for the number, such as web-##."), field="pattern")
    if any(len(signs) > 6 for signs in SIGNS.findall(pattern)):
        raise Refused(_("At most six digits."), field="pattern")
    try:
        names.check_vm_name(first(pattern, count)[-1])
    except names.Refused as refused:
        raise Refused(words(refused), field="pattern") from refused
