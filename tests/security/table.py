"""Every address of Drover and who may use it. A new address must get its row here, or test_rights fails."""

from dataclasses import dataclass, field
from typing import Any

from tests.security.world import PEOPLE as PEOPLE_OF_THE_WORLD
from tests.security.world import World

# Who may. Who is not in the first set is told that there is nothing (404), but those of the second see it and may not
# change it (403). Nobody without a login gets further than to it.
OFF, OPEN, LOGIN, OWN, USE, CHANGE, MOVE = "off", "open", "login", "own", "use", "change", "move"
LOOK, OPERATOR, ADMIN = "look", "operator", "admin"
ASK, WISH, TAKE_BACK, GO_ON, DECIDE, INBOX = "ask", "wish", "take back", "go on", "decide", "inbox"
CATALOGUE, OFFER = "catalogue", "offer"
TEACH, FILL, GROUPS, PEOPLE, GIVE, AUDIT = "teach", "fill", "groups", "people", "give", "audit"
ALL = frozenset(PEOPLE_OF_THE_WORLD) - {"anonymous"}
READERS = frozenset({"operator", "auditor", "administrator"})
OPERATORS = frozenset({"operator", "administrator"})
ADMINISTRATOR = frozenset({"administrator"})
THEIRS = frozenset({"owner", "manager"})
ALLOWED: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    OFF: (frozenset(), frozenset()),  # not configured: for nobody
    OPEN: (ALL | {"anonymous"}, frozenset()),
    LOGIN: (ALL, frozenset()),
    OWN: (READERS | THEIRS, frozenset()),  # the owner's own VM, which is in the manager's group
    USE: (OPERATORS | THEIRS, frozenset({"auditor"})),
    CHANGE: (OPERATORS | {"manager"}, frozenset({"owner", "auditor"})),
    MOVE: (OPERATORS, THEIRS | {"auditor"}),
    LOOK: (READERS, frozenset()),
    OPERATOR: (OPERATORS, frozenset({"auditor"})),
    ADMIN: (ADMINISTRATOR, frozenset({"operator", "auditor"})),
    GROUPS: (READERS | {"manager"}, frozenset()),
    FILL: (OPERATORS, frozenset({"auditor", "manager"})),
    TEACH: (ADMINISTRATOR, frozenset({"operator", "auditor", "manager"})),
    PEOPLE: (ADMINISTRATOR | {"auditor"}, frozenset()),
    AUDIT: (ADMINISTRATOR | {"auditor"}, frozenset()),
    GIVE: (ADMINISTRATOR, frozenset({"auditor"})),
    ASK: (ALL - {"auditor"}, frozenset({"auditor"})),
    WISH: (READERS | THEIRS | {"approver"}, frozenset()),  # the owner's own request, for the manager's group
    DECIDE: (ADMINISTRATOR | {"approver"}, READERS - ADMINISTRATOR | THEIRS),
    TAKE_BACK: (frozenset({"owner"}), READERS | {"approver", "manager"}),
    GO_ON: (ADMINISTRATOR | {"approver", "owner"}, frozenset({"operator", "auditor", "manager"})),
    INBOX: (ADMINISTRATOR | {"approver"}, READERS - ADMINISTRATOR),
    CATALOGUE: (READERS, frozenset()),
    OFFER: (ADMINISTRATOR, READERS - ADMINISTRATOR),
}
GET, POST, BOTH, ANY = ("GET",), ("POST",), ("GET", "POST"), ("GET", "POST", "PUT", "DELETE")
PUT, PATCH, DELETE = ("PUT",), ("PATCH",), ("DELETE",)


@dataclass(frozen=True)
class Row:
    """Who may use one address, by which methods. `args`: attributes of the World, such as "vm.uuid"."""

    who: str
    methods: tuple[str, ...]
    args: tuple[str, ...] = ()
    query: str = ""
    only: frozenset[str] = field(default_factory=frozenset)  # fewer people than the level: one's own things

    @property
    def allowed(self) -> frozenset[str]:
        return self.only or ALLOWED[self.who][0]

    def refusal(self, person: str) -> int:
        """The status for somebody who may not."""
        return 403 if person in ALLOWED[self.who][1] else 404

    def values(self, world: World) -> list[Any]:
        found = []
        for name in self.args:
            value: Any = name.removeprefix("=")
            if not name.startswith("="):
                value = world
                for part in name.split("."):
                    value = getattr(value, part)
            found.append(value)
        return found


def vm(who: str, methods: tuple[str, ...], *more: str, query: str = "") -> Row:
    return Row(who, methods, ("vm.uuid", *more), query)


def host(who: str, methods: tuple[str, ...], *more: str, query: str = "") -> Row:
    return Row(who, methods, ("host.pk", *more), query)


def one(who: str, methods: tuple[str, ...], key: str) -> Row:
    return Row(who, methods, (key,))


MINE = frozenset({"operator"})  # the upload's own person

TABLE: dict[str, Row] = {
    "cluster:overview": Row(LOGIN, GET),
    "cluster:figures": Row(LOGIN, GET),
    "cluster:attention": Row(LOGIN, GET),
    "cluster:map": Row(LOOK, GET),
    "cluster:search": Row(LOGIN, GET, query="q=web"),
    "cluster:healthz": Row(OPEN, GET),
    "cluster:jsi18n": Row(LOGIN, GET),
    "access:login": Row(OPEN, BOTH),
    "account_login": Row(OPEN, BOTH),  # the same, by the name allauth knows
    "access:oidc": Row(OFF, POST),
    "access:oidc_callback": Row(OFF, GET),
    "access:logout": Row(LOGIN, POST),
    "access:profile": Row(LOGIN, GET),
    "access:theme": Row(LOGIN, POST),
    "access:password": Row(LOGIN, ANY),
    "access:make_token": Row(LOGIN, BOTH),
    "access:revoke_token": Row(LOGIN, POST, ("token.pk",), only=frozenset({"owner"})),
    "access:add_ssh_keys": Row(LOGIN, BOTH),
    "access:remove_ssh_key": Row(LOGIN, POST, ("ssh_key.pk",), only=frozenset({"owner"})),
    "audit:index": Row(AUDIT, GET),
    "audit:mine": Row(LOGIN, GET),
    "audit:entry": Row(AUDIT, GET, ("entry.pk",), only=frozenset({"owner", "auditor", "administrator"})),
    "audit:export": Row(AUDIT, POST, ("=csv",)),
    "access:people": Row(PEOPLE, GET),
    "access:add_person": Row(GIVE, BOTH),
    "access:person": one(PEOPLE, GET, "person.pk"),
    "access:edit_person": one(GIVE, BOTH, "person.pk"),
    "access:set_password": one(GIVE, BOTH, "person.pk"),
    "access:activate": one(GIVE, POST, "person.pk"),
    "access:deactivate": one(GIVE, POST, "person.pk"),
    "access:delete_person": one(GIVE, BOTH, "person.pk"),
    "access:invitations": Row(PEOPLE, GET),
    "access:invite": Row(GIVE, BOTH),
    "access:withdraw_invitation": one(GIVE, POST, "invitation.pk"),
    "access:join": Row(OPEN, BOTH, ("secret",)),
    "access:groups": Row(GROUPS, GET),
    "access:add_group": Row(GIVE, BOTH),
    "access:group": one(GROUPS, GET, "group.pk"),
    "access:edit_group": one(TEACH, BOTH, "group.pk"),
    "access:delete_group": one(TEACH, BOTH, "group.pk"),
    "access:add_members": one(TEACH, BOTH, "group.pk"),
    "access:take_out": Row(TEACH, POST, ("group.pk", "member.pk")),
    "access:set_manager": Row(TEACH, POST, ("group.pk", "member.pk")),
    "access:grants": Row(PEOPLE, GET),
    "access:give": Row(GIVE, BOTH),
    "access:take_away": one(GIVE, POST, "grant.pk"),
    "selfservice:offers": Row(ASK, GET),
    "selfservice:all_offers": Row(CATALOGUE, GET),
    "selfservice:add_offer": Row(OFFER, BOTH),
    "selfservice:offer": one(CATALOGUE, GET, "offer.pk"),
    "selfservice:edit_offer": one(OFFER, BOTH, "offer.pk"),
    "selfservice:archive_offer": one(OFFER, POST, "offer.pk"),
    "selfservice:bring_back_offer": one(OFFER, POST, "offer.pk"),
    "selfservice:preview_offer": one(CATALOGUE, GET, "offer.pk"),
    "selfservice:picture": Row(LOGIN, GET, ("offer.pk",)),
    "selfservice:ask": one(ASK, BOTH, "offer.pk"),
    "selfservice:look": one(ASK, POST, "offer.pk"),
    "selfservice:requests": Row(LOGIN, GET),
    "selfservice:all_requests": Row(LOGIN, GET),
    "selfservice:inbox": Row(INBOX, GET),
    "selfservice:decide": Row(INBOX, POST),
    "selfservice:request": one(WISH, GET, "wish.pk"),
    "selfservice:approve": one(DECIDE, BOTH, "wish.pk"),
    "selfservice:reject": one(DECIDE, BOTH, "wish.pk"),
    "selfservice:withdraw": Row(TAKE_BACK, POST, ("wish.pk",)),
    "selfservice:retry": one(GO_ON, POST, "wish.pk"),
    "selfservice:give_up": one(GO_ON, POST, "wish.pk"),
    "selfservice:mine": Row(LOGIN, GET),
    "selfservice:quotas": Row(PEOPLE, GET),
    "selfservice:edit_everybody": Row(GIVE, BOTH),
    "selfservice:of_person": one(PEOPLE, GET, "person.pk"),
    "selfservice:edit_person": one(GIVE, BOTH, "person.pk"),
    "selfservice:drop_person": one(GIVE, POST, "person.pk"),
    "selfservice:of_group": one(GROUPS, GET, "group.pk"),
    "selfservice:edit_group": one(TEACH, BOTH, "group.pk"),
    "selfservice:drop_group": one(TEACH, POST, "group.pk"),
    "jobs:index": Row(LOGIN, GET),
    "jobs:dock": Row(LOGIN, GET),
    "jobs:detail": one(OWN, GET, "job.pk"),
    "jobs:state": one(OWN, GET, "job.pk"),
    "jobs:log": one(OWN, GET, "job.pk"),
    "jobs:parts": one(OWN, GET, "job.pk"),
    "jobs:cancel": one(USE, POST, "job.pk"),
    "hosts:index": Row(LOOK, GET),
    "hosts:add": Row(ADMIN, BOTH),
    "hosts:cluster": Row(LOOK, GET),
    "hosts:trust": Row(ADMIN, BOTH),
    "hosts:encryption": Row(ADMIN, BOTH),
    "hosts:common_cpu": Row(ADMIN, POST),
    "hosts:networks": Row(LOOK, GET),
    "hosts:network_add": Row(ADMIN, BOTH),
    "hosts:network": one(LOOK, GET, "network.pk"),
    "hosts:network_define_missing": one(ADMIN, POST, "network.pk"),
    "hosts:network_change": Row(ADMIN, BOTH, ("network.pk", "=stop")),
    "hosts:detail": host(LOOK, GET),
    "hosts:charts": host(LOOK, GET),
    "hosts:menu": host(ADMIN, GET),
    "hosts:networks_of": host(LOOK, GET),
    "hosts:setup": one(ADMIN, GET, "new_host.pk"),
    "hosts:probe": one(ADMIN, POST, "new_host.pk"),
    "hosts:pin": one(ADMIN, POST, "new_host.pk"),
    "hosts:install_key": one(ADMIN, POST, "new_host.pk"),
    "hosts:try_login": one(ADMIN, POST, "new_host.pk"),
    "hosts:preflight": one(ADMIN, POST, "new_host.pk"),
    "hosts:accept": one(ADMIN, POST, "new_host.pk"),
    "hosts:checks": host(LOOK, GET),
    "hosts:edit": host(ADMIN, BOTH),
    "hosts:maintenance": host(ADMIN, BOTH),
    "hosts:evacuate": host(ADMIN, BOTH),
    "hosts:repin": host(ADMIN, BOTH),
    "hosts:declare_off": host(ADMIN, BOTH),
    "hosts:let_in": host(ADMIN, BOTH),
    "hosts:remove": host(ADMIN, BOTH),
    "hosts:act": host(ADMIN, POST, "=refresh"),
    "storage:index": Row(LOOK, GET),
    "storage:add_pool": Row(ADMIN, BOTH),
    "storage:pool": one(LOOK, GET, "pool.pk"),
    "storage:volumes": one(LOOK, GET, "pool.pk"),
    "storage:add_volume": one(ADMIN, BOTH, "pool.pk"),
    "storage:add_hosts": one(ADMIN, BOTH, "pool.pk"),
    "storage:retry_pool": one(ADMIN, POST, "pool.pk"),
    "storage:remove_pool": one(ADMIN, BOTH, "pool.pk"),
    "storage:forget_pool": one(ADMIN, POST, "pool.pk"),
    "storage:act": Row(ADMIN, POST, ("pool.pk", "host.pk", "=refresh")),
    "storage:on_host": host(LOOK, GET),
    "storage:resize_volume": one(ADMIN, BOTH, "volume.pk"),
    "storage:copy_volume": one(ADMIN, BOTH, "volume.pk"),
    "storage:forget_volume": one(ADMIN, POST, "volume.pk"),
    "storage:delete_volume": one(ADMIN, BOTH, "volume.pk"),
    "storage:images": Row(LOOK, GET),
    "storage:import": Row(OPERATOR, BOTH),
    "storage:image": one(LOOK, GET, "image.pk"),
    "storage:retry_image": one(OPERATOR, POST, "image.pk"),
    "storage:edit_image": one(OPERATOR, BOTH, "image.pk"),
    "storage:delete_image": one(OPERATOR, BOTH, "image.pk"),
    "storage:begin_upload": Row(OPERATOR, POST),
    "storage:upload": one(OPERATOR, GET, "upload.pk"),
    "storage:send_upload": Row(OPERATOR, POST, ("upload.pk",), only=MINE),
    "storage:resume_upload": Row(OPERATOR, POST, ("upload.pk",), only=MINE),
    "storage:give_up_upload": Row(OPERATOR, POST, ("upload.pk",), only=MINE),
    "vms:index": Row(LOGIN, GET),
    "vms:options": Row(LOGIN, GET, query="kind=owner&owner=o"),
    "vms:on_host": host(LOOK, GET),
    "vms:in_group": one(GROUPS, GET, "group.pk"),
    "vms:into_group": one(FILL, BOTH, "group.pk"),
    "vms:out_of_group": Row(FILL, POST, ("group.pk", "vm.uuid")),
    "vms:hand_over": one(GIVE, BOTH, "person.pk"),
    "vms:bulk": Row(LOGIN, BOTH, ("=start",)),
    "vms:create": Row(OPERATOR, BOTH),
    "vms:placement": Row(OPERATOR, POST),
    "vms:preview": Row(OPERATOR, POST),
    "vms:detail": vm(OWN, GET),
    "vms:head": vm(OWN, GET),
    "vms:facts": vm(OWN, GET),
    "vms:row": Row(LOGIN, GET, ("vm.uuid",)),  # a stranger's is empty: test_a_strangers_row_is_empty
    "vms:menu": vm(OWN, GET),
    "vms:hardware": vm(OWN, GET),
    "vms:definition": vm(OWN, GET),
    "vms:jobs": vm(OWN, GET),
    "vms:charts": vm(OWN, GET),
    "vms:act": vm(USE, POST, "=pause"),
    "vms:confirm": vm(USE, GET, query="verb=reset"),
    "vms:rename": vm(CHANGE, BOTH),
    "vms:edit": vm(CHANGE, BOTH),
    "vms:resize": vm(CHANGE, BOTH),
    "vms:disk": vm(CHANGE, BOTH, "=vda"),
    "vms:delete": vm(CHANGE, BOTH),
    "vms:forget": vm(CHANGE, BOTH),
    "vms:start_anyway": vm(USE, BOTH),
    "vms:thumbnail": vm(OWN, GET),
    "vms:screen": vm(USE, GET),
    "vms:migrate": vm(MOVE, BOTH),
    "vms:migration": vm(OWN, GET),
    "vms:migration_series": vm(OWN, GET, "migration.pk"),
    "vms:console": vm(USE, GET),
    "vms:console_head": vm(USE, GET),
    "vms:console_ticket": vm(USE, POST),
}

# By operation id; the method is the API's own.
API: dict[str, Row] = {
    "list_hosts": Row(LOOK, GET),
    "add_host": Row(ADMIN, POST),
    "trust_hosts": Row(ADMIN, POST),
    "set_up_encryption": Row(ADMIN, POST),
    "compute_common_cpu": Row(ADMIN, POST),
    "get_host": host(LOOK, GET),
    "change_host": host(ADMIN, PATCH),
    "remove_host": host(ADMIN, DELETE),
    "get_setup": one(ADMIN, GET, "new_host.pk"),
    "pin_keys": one(ADMIN, POST, "new_host.pk"),
    "install_key": one(ADMIN, POST, "new_host.pk"),
    "set_maintenance": host(ADMIN, POST),
    "evacuate": host(ADMIN, POST),
    "declare_off": host(ADMIN, POST),
    "act_on_host": host(ADMIN, POST, "=refresh"),
    "list_networks": Row(LOOK, GET),
    "define_network": Row(ADMIN, POST),
    "get_network": one(LOOK, GET, "network.pk"),
    "act_on_network": Row(ADMIN, POST, ("network.pk", "=start")),
    "list_pools": Row(LOOK, GET),
    "define_pool": Row(ADMIN, POST),
    "get_pool": one(LOOK, GET, "pool.pk"),
    "list_volumes": one(LOOK, GET, "pool.pk"),
    "act_on_pool": Row(ADMIN, POST, ("pool.pk", "=refresh")),
    "delete_pool": one(ADMIN, DELETE, "pool.pk"),
    "list_images": Row(LOOK, GET),
    "import_from_url": Row(OPERATOR, POST),
    "import_from_volume": Row(OPERATOR, POST),
    "get_image": one(LOOK, GET, "image.pk"),
    "change_image": one(OPERATOR, PATCH, "image.pk"),
    "retry_import": one(OPERATOR, POST, "image.pk"),
    "delete_image": one(OPERATOR, DELETE, "image.pk"),
    "begin_upload": Row(OPERATOR, POST),
    "get_upload": Row(OPERATOR, GET, ("upload.pk",), only=MINE),
    "send_part": Row(OPERATOR, PUT, ("upload.pk",), only=MINE),
    "resume_upload": Row(OPERATOR, POST, ("upload.pk",), only=MINE),
    "give_up_upload": Row(OPERATOR, DELETE, ("upload.pk",), only=MINE),
    "list_vms": Row(LOGIN, GET),
    "create_vm": Row(OPERATOR, POST),
    "get_vm": vm(OWN, GET),
    "change_vm": vm(CHANGE, PATCH),
    "rename_vm": vm(CHANGE, POST),
    "resize_vm": vm(CHANGE, POST),
    "resize_disk": vm(CHANGE, POST, "=vda"),
    "list_destinations": vm(MOVE, GET),
    "migrate_vm": vm(MOVE, POST),
    "act_on_vm": vm(USE, POST, "=pause"),
    "delete_vm": vm(CHANGE, DELETE),
    "list_audit": Row(AUDIT, GET),
    "list_people": Row(PEOPLE, GET),
    "add_person": Row(GIVE, POST),
    "get_person": one(PEOPLE, GET, "person.pk"),
    "change_person": one(GIVE, PATCH, "person.pk"),
    "set_person_password": one(GIVE, POST, "person.pk"),
    "delete_person": one(GIVE, DELETE, "person.pk"),
    "list_invitations": Row(PEOPLE, GET),
    "make_invitation": Row(GIVE, POST),
    "withdraw_invitation": one(GIVE, DELETE, "invitation.pk"),
    "list_groups": Row(GROUPS, GET),
    "add_group": Row(GIVE, POST),
    "get_group": one(GROUPS, GET, "group.pk"),
    "change_group": one(TEACH, PATCH, "group.pk"),
    "delete_group": one(TEACH, DELETE, "group.pk"),
    "add_members": one(TEACH, POST, "group.pk"),
    "remove_member": Row(TEACH, DELETE, ("group.pk", "member.username")),
    "list_grants": Row(PEOPLE, GET),
    "give_grant": Row(GIVE, POST),
    "take_grant": one(GIVE, DELETE, "grant.pk"),
    "list_ssh_keys": Row(LOGIN, GET),
    "add_ssh_keys": Row(LOGIN, POST),
    "remove_ssh_key": Row(LOGIN, DELETE, ("ssh_key.pk",), only=frozenset({"owner"})),
    "list_offers": Row(ASK, GET),
    "get_offer": one(ASK, GET, "offer.pk"),
    "list_requests": Row(LOGIN, GET),
    "create_request": Row(ASK, POST),
    "get_request": one(WISH, GET, "wish.pk"),
    "approve_request": one(DECIDE, POST, "wish.pk"),
    "reject_request": one(DECIDE, POST, "wish.pk"),
    "withdraw_request": one(TAKE_BACK, POST, "wish.pk"),
    "retry_request": one(GO_ON, POST, "wish.pk"),
    "give_up_request": one(GO_ON, POST, "wish.pk"),
    "get_my_quota": Row(LOGIN, GET),
    "list_quotas": Row(PEOPLE, GET),
    "set_quota_of_everybody": Row(GIVE, PUT),
    "get_quota_of_person": one(PEOPLE, GET, "person.pk"),
    "set_quota_of_person": one(GIVE, PUT, "person.pk"),
    "drop_quota_of_person": one(GIVE, DELETE, "person.pk"),
    "get_quota_of_group": one(GROUPS, GET, "group.pk"),
    "set_quota_of_group": one(TEACH, PUT, "group.pk"),
    "drop_quota_of_group": one(TEACH, DELETE, "group.pk"),
    "list_jobs": Row(LOGIN, GET),
    "get_job": one(OWN, GET, "job.pk"),
    "cancel_job": one(USE, POST, "job.pk"),
}
# The good body of a call; test_hostile_api spoils one field after the other.
IMAGE = {"name": "new", "version": "1", "os_name": "Debian", "description": "", "checksum": ""}
LIMITS = {"vms": 3, "running_vms": 2, "vcpus": 4, "memory_bytes": 2**33, "disk_bytes": None}
API_BODIES: dict[str, dict[str, Any]] = {
    "add_host": {"address": "10.1.2.3", "name": "new", "username": "root", "port": 22, "migration_address": ""},
    "change_host": {"address": "10.1.2.3", "name": "new", "username": "root", "port": 22, "migration_address": ""},
    "remove_host": {"name": "vmhost1", "remove_keys": True, "forget_vms": False},
    "pin_keys": {"fingerprints": ["SHA256:x"]},
    "install_key": {"password": "secret"},
    "set_maintenance": {"on": True, "note": "new fan"},
    "evacuate": {"include_off": False},
    "declare_off": {"name": "vmhost1"},
    "define_network": {
        "name": "new",
        "mode": "nat",
        "bridge": "",
        "cidr": "192.168.77.0/24",
        "dhcp_start": "",
        "dhcp_end": "",
        "domain": "",
        "hosts": [1],
    },
    "act_on_network": {"hosts": [], "force": True},
    "define_pool": {
        "name": "new",
        "kind": "nfs",
        "source": {"host": "10.1.2.3", "path": "/srv/vms"},
        "target_path": "",
        "hosts": [1],
    },
    "act_on_pool": {"hosts": [1]},
    "delete_pool": {},
    "import_from_url": {**IMAGE, "pool": 1, "host": None, "url": "https://images.example/x.qcow2"},
    "import_from_volume": {**IMAGE, "volume": 1},
    "change_image": {"name": "new", "version": "2", "os_name": "", "description": ""},
    "delete_image": {"keep_file": True},
    "add_ssh_keys": {"keys": "ssh-ed25519 AAAA x"},
    "create_request": {
        "offer": 1,
        "version": 1,
        "pattern": "x",
        "count": 1,
        "vcpus": 1,
        "memory_bytes": 2**30,
        "disk_bytes": 10 * 2**30,
        "group": None,
        "values": {},
        "ssh_keys": [],
        "reason": "x",
    },
    "approve_request": {"why": "", "count": 1, "vcpus": 1, "memory_bytes": 2**30, "disk_bytes": None, "lease_days": 7},
    "reject_request": {"why": "no"},
    "set_quota_of_everybody": LIMITS,
    "set_quota_of_person": LIMITS,
    "set_quota_of_group": LIMITS,
    "begin_upload": {**IMAGE, "pool": 1, "host": None, "file_name": "x.qcow2", "size_bytes": 10},
    "send_part": {},
    "give_up_upload": {},
    "create_vm": {"name": "x"},
    "migrate_vm": {},
    "delete_vm": {"disks": []},
    "make_invitation": {"username": "new", "email": "", "role": "user", "group": None, "days": 7},
    "add_person": {"username": "new", "first_name": "", "last_name": "", "email": "", "role": "user", "password": ""},
    "change_person": {"first_name": "x", "last_name": "", "email": "", "role": "user", "is_active": True},
    "set_person_password": {"password": ""},
    "add_group": {"name": "new", "description": ""},
    "change_group": {"name": "new", "description": ""},
    "add_members": {"usernames": ["owner"], "is_manager": False},
    "give_grant": {
        "to_user": "owner",
        "to_group": None,
        "role": "user",
        "vm": "web-07",
        "group": None,
        "pool": None,
        "everything": False,
        "until": None,
    },
    "act_on_vm": {},
    "change_vm": {"title": "x", "description": "", "tags": ["a"]},
    "rename_vm": {"name": "new"},
    "resize_vm": {"vcpus": 2, "max_vcpus": 2, "memory_bytes": 1024**3},
    "resize_disk": {"size_bytes": 20 * 1024**3},
}
# The API's own pages: described in tests/api (docs need a login).
API_PAGES = {"openapi-json", "openapi-view", "api-root"}
