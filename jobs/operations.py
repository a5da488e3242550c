"""What an operation is: one class per verb. Button, POST guard, API and worker all ask the same class."""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.db.models import Model
from django.utils.translation import gettext as _

from access.models import User
from access.rules import can, everywhere, visible
from audit import actions
from jobs.errors import Refused, Text

if TYPE_CHECKING:
    from jobs.run import Run


class Lock(NamedTuple):
    """Something only `limit` running jobs may hold at once: ("vm:<uuid>", 1), ("migrate:host:3", 2)."""

    key: str
    limit: int = 1


class Operation:
    """One verb on one kind of object. A subclass is registered by `@register` and found by its `name`.

    Life: `enqueue` (jobs.engine) calls `refuse` in the request; the worker then calls `check`, which may look at hosts
    but changes nothing, and `run`. A run may be repeated after its worker died: it first looks at what is done.
    """

    name: ClassVar[str]  # "vms.start"
    verb: ClassVar[Text]  # "Start", for buttons and titles
    permission: ClassVar[str]  # access.rules
    model: ClassVar[type[Model] | None] = None  # what the target is
    target_kind: ClassVar[str] = ""
    allowed_states: ClassVar[frozenset[str] | None] = None  # of the target's `state`; None: any
    cancellable: ClassVar[bool] = False
    removes_target: ClassVar[bool] = False  # a repeated run that finds its target gone has succeeded

    def __init__(self, target: Any = None, params: dict[str, Any] | None = None) -> None:
        self.target = target
        self.params: dict[str, Any] = params or {}

    @classmethod
    def refusal(cls, user: User, target: Any) -> Text | None:
        """Why this person may not do this to this object now, or None. Database only: it draws the buttons."""
        if not cls.allowed_to(user, target):
            return _("You have no right to do this.")
        if cls.allowed_states is not None and target.state not in cls.allowed_states:
            return _("Not possible while it is %(state)s.") % {"state": target.get_state_display()}
        return None

    @classmethod
    def allowed_to(cls, user: User, target: Any) -> bool:
        """Whether this person may do this to this object, at another time perhaps. No object: to anything at all."""
        if target is None:
            return everywhere(user, cls.permission)
        return can(user, cls.permission, target)

    @classmethod
    def find(cls, user: User | None, key: str) -> Any:
        """The target by its job key, through what this person may see (None: the system itself)."""
        if cls.model is None:
            return None
        rows = cls.model._default_manager.all()
        if user is not None:
            rows = visible(user, rows)
        return rows.filter(**{cls.key_field(): key}).first()

    @classmethod
    def key_field(cls) -> str:
        return "uuid" if cls.target_kind == "vm" else "pk"

    @classmethod
    def cancel_permission(cls, params: dict[str, Any]) -> str:
        """What one needs to stop somebody else's job of this kind with these parameters."""
        return cls.permission

    def key(self) -> str:
        return "" if self.target is None else str(getattr(self.target, self.key_field()))

    def title(self) -> str:
        """The job's title, such as "Start web-07"."""
        return f"{self.verb} {self.target}" if self.target is not None else str(self.verb)

    def locks(self) -> list[Lock]:
        """What must be held while running; by default the target alone."""
        return [Lock(f"{self.target_kind}:{self.key()}")] if self.target is not None else []

    def refuse(self) -> None:
        """Raise Refused for parameters that can't work. Database only, inside the request."""

    def check(self, run: "Run") -> None:
        """Raise Refused if the world is not as it must be. In the worker: may look at hosts, changes nothing."""

    def run(self, run: "Run") -> dict[str, Any] | None:
        """Do it. Returns the job's result. Raises Failed, Cancelled or a virt error; anything else is our bug."""
        raise TypeError(f"{type(self).__name__} does not say what it does")

    def children_ended(self, run: "Run") -> dict[str, Any] | None:
        """For a run that returned `run.wait_for_children()`: called when all children ended. Returns the result."""
        return None

    def failed(self, run: "Run") -> None:
        """After a run that failed, errored or was cancelled: put right what other rows say about it. Must not raise."""


_registry: dict[str, type[Operation]] = {}


def register(operation: type[Operation]) -> type[Operation]:
    """Class decorator: makes an operation findable by its name."""
    if _registry.setdefault(operation.name, operation) is not operation:
        raise ValueError(f"two operations are called {operation.name}")
    actions.name(operation.name, operation.verb)
    return operation


def by_name(name: str) -> type[Operation]:
    if name not in _registry:
        raise Refused(_("This version of Drover does not know the operation “%(name)s”.") % {"name": name})
    return _registry[name]


def all_operations() -> dict[str, type[Operation]]:
    return dict(sorted(_registry.items()))
