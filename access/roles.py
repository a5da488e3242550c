"""What each role may do, and what of it can be given on one thing only."""

from access.models import Role

USER_PERMISSIONS = frozenset({"vms.view", "vms.console", "vms.power", "jobs.view"})
# what an auditor sees, and with them operators and administrators; jobs.all: others' jobs, and who opened consoles
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
    }
)
AUDITOR_PERMISSIONS = READING | {"jobs.trace", "access.view", "audit.view"}
OPERATOR_PERMISSIONS = (
    READING
    | USER_PERMISSIONS
    | {
        "vms.create",
        "vms.change",
        "vms.delete",
        "vms.migrate",
        "storage.images",
    }
)
ADMINISTRATOR_PERMISSIONS = (
    OPERATOR_PERMISSIONS
    | AUDITOR_PERMISSIONS
    | {
        "hosts.manage",
        "storage.manage",
        "access.manage",
    }
)
PERMISSIONS: dict[str, frozenset[str]] = {
    Role.USER.value: USER_PERMISSIONS,
    Role.APPROVER.value: USER_PERMISSIONS,
    Role.AUDITOR.value: AUDITOR_PERMISSIONS,
    Role.OPERATOR.value: OPERATOR_PERMISSIONS,
    Role.ADMINISTRATOR.value: ADMINISTRATOR_PERMISSIONS,
}
# The roles that hold over everything. The others hold for what is a person's own, and for what was granted.
OVER_EVERYTHING = frozenset({Role.ADMINISTRATOR.value, Role.OPERATOR.value, Role.AUDITOR.value})
OWN = frozenset({"jobs.all", "people.view"})  # of one's own jobs and row, besides what a lab user may

# What a role brings that is given on one VM, on the VMs of a group, on a pool. What is not here (making VMs, moving
# them between hosts, hosts, networks) is for those whose role holds over everything.
ON_VM = USER_PERMISSIONS | {"vms.change", "vms.delete", "jobs.all"}
ON_GROUP = ON_VM | {"groups.view"}
ON_POOL = frozenset({"storage.view", "storage.images", "storage.manage", "jobs.all"})
