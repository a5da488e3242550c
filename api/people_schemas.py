"""What the API gives and takes of people, groups and grants."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from access.rules import role_of
from api.schemas import In, Key

RoleName = Literal["administrator", "operator", "auditor", "approver", "user"]


class PersonOut(Schema):
    id: int
    username: str
    first_name: str
    last_name: str
    email: str
    role: str
    is_active: bool
    last_login: datetime | None
    groups: list[str]

    @staticmethod
    def resolve_role(person: Any) -> str:
        return role_of(person)

    @staticmethod
    def resolve_groups(person: Any) -> list[str]:
        return [group.name for group in person.member_of.all()]


class NewPersonOut(PersonOut):
    first_password: str = Field(description="shown this once")


class PersonIn(In):
    username: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    role: RoleName = "user"
    password: str = Field("", description="empty: Drover makes one")


class PersonChangeIn(In):
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    role: RoleName = "user"
    is_active: bool = True


class PasswordIn(In):
    password: str = Field("", description="empty: Drover makes one")


class PasswordOut(Schema):
    password: str = Field(description="shown this once")


class InvitationOut(Schema):
    id: int
    username: str
    email: str
    role: str
    group_id: int | None
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    used_by: str | None

    @staticmethod
    def resolve_used_by(one: Any) -> str | None:
        return one.used_by.username if one.used_by else None


class NewInvitationOut(InvitationOut):
    link: str = Field(description="shown this once")


class InvitationIn(In):
    username: str = Field("", description="empty: whoever comes chooses one")
    email: str = ""
    send: bool = Field(False, description="also send the link to the address, by mail")
    role: RoleName = "user"
    group: Key | None = None
    days: Literal[1, 7, 30] = 7


class GroupOut(Schema):
    id: int
    name: str
    description: str


class MemberOut(Schema):
    username: str
    is_manager: bool
    since: datetime

    @staticmethod
    def resolve_username(one: Any) -> str:
        return str(one.user.username)


class GroupDetailOut(GroupOut):
    members: list[MemberOut]

    @staticmethod
    def resolve_members(group: Any) -> list[Any]:
        return list(group.memberships.select_related("user"))


class GroupIn(In):
    name: str
    description: str = ""


class GroupChangeIn(In):
    name: str = ""
    description: str = ""


class MembersIn(In):
    usernames: list[str] = Field(max_length=2000)
    is_manager: bool | None = Field(None, description="left out: members, and who is there stays what they are")


class MembersOut(Schema):
    added: list[str]
    there: list[str]
    unknown: list[str]


class GrantOut(Schema):
    id: int
    role: str
    to_user: str | None
    to_group_id: int | None
    vm: str | None
    group_id: int | None
    pool_id: int | None
    until: datetime | None
    given_by: str | None
    given_at: datetime

    @staticmethod
    def resolve_to_user(grant: Any) -> str | None:
        return grant.to_user.username if grant.to_user else None

    @staticmethod
    def resolve_vm(grant: Any) -> str | None:
        return str(grant.on_vm.uuid) if grant.on_vm else None

    @staticmethod
    def resolve_group_id(grant: Any) -> int | None:
        return grant.on_group_id

    @staticmethod
    def resolve_pool_id(grant: Any) -> int | None:
        return grant.on_pool_id

    @staticmethod
    def resolve_given_by(grant: Any) -> str | None:
        return grant.given_by.username if grant.given_by else None


class GrantIn(In):
    to_user: str = Field("", description="a username")
    to_group: Key | None = None
    role: RoleName
    vm: str = Field("", description="UUID or name; with neither vm, group nor pool: on everything")
    group: Key | None = Field(None, description="on the VMs of this group")
    pool: Key | None = None
    everything: bool = Field(False, description="must be said for a right on everything")
    until: datetime | None = Field(None, description="with its time zone; null: until it is taken away")
