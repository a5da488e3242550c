"""What each role may do, and what of it can be given on one thing only."""

from access.models import CONSOLE_ONLY, Role

# snapshot: make, revert to and delete them
USER_PERMISSIONS = frozenset({"vms.view", "vms.console", "vms.power", "vms.snapshot", "jobs.view", "selfservice.ask"})
# what owners may besides with what is theirs: rename, notes, tags; make it anew from its image; let others use it
OWNER_PERMISSIONS = frozenset({"vms.edit", "vms.rebuild", "vms.share"})
DECIDING = frozenset({"selfservice.view", "selfservice.decide"})  # requests
# what an auditor sees, and with them operators and administrators; jobs.all: others' jobs, and who opened consoles;
# selfservice.view: others' requests; selfservice.catalogue: every offer with its versions; classes.view: of groups
READING = frozenset(
    {
        "vms.view",
        "jobs.view",
        "jobs.all",
        "hosts.view",
        "storage.view",
        "cluster.view",
        "people.view",
        "groups.view",
        "selfservice.view",
        "selfservice.catalogue",
        "classes.view",
    }
)
AUDITOR_PERMISSIONS = READING | {"jobs.trace", "access.view", "audit.view"}
OPERATOR_PERMISSIONS = (
    READING
    | USER_PERMISSIONS
    | OWNER_PERMISSIONS
    | {
        "vms.create",
        "vms.change",
        "vms.delete",
        "vms.migrate",
        "storage.images",
        "classes.manage",
    }
)
ADMINISTRATOR_PERMISSIONS = (
    OPERATOR_PERMISSIONS
    | AUDITOR_PERMISSIONS
    | DECIDING
    | {
        "hosts.manage",
        "storage.manage",
        "access.manage",
        "selfservice.offer",
    }
)
PERMISSIONS: dict[str, frozenset[str]] = {
    Role.USER.value: USER_PERMISSIONS,
    Role.APPROVER.value: USER_PERMISSIONS | DECIDING,
    Role.AUDITOR.value: AUDITOR_PERMISSIONS,
    Role.OPERATOR.value: OPERATOR_PERMISSIONS,
    Role.ADMINISTRATOR.value: ADMINISTRATOR_PERMISSIONS,
    CONSOLE_ONLY: frozenset({"vms.view", "vms.console"}),
}
# What of a role holds over everything. The rest holds for what is a person's own, and for what was granted.
OVER_EVERYTHING: dict[str, frozenset[str]] = {
    Role.ADMINISTRATOR.value: ADMINISTRATOR_PERMISSIONS,
    Role.OPERATOR.value: OPERATOR_PERMISSIONS,
    Role.AUDITOR.value: AUDITOR_PERMISSIONS,
    Role.APPROVER.value: DECIDING,
}
# of one's own jobs, row, requests and VMs, besides what a lab user may
OWN = frozenset({"jobs.all", "people.view", "selfservice.view"}) | OWNER_PERMISSIONS

# What a role brings that is given on one VM, on the VMs of a group, on a pool. What is not here (making VMs, moving
# them between hosts, hosts, networks) is for those whose role holds over everything.
ON_VM = (USER_PERMISSIONS - {"selfservice.ask"}) | OWNER_PERMISSIONS | {"vms.change", "vms.delete", "jobs.all"}
ON_GROUP = ON_VM | DECIDING | {"groups.view", "classes.view", "classes.manage"}
ON_POOL = frozenset({"storage.view", "storage.images", "storage.manage", "jobs.all"})
