"""Usernames for people who come from elsewhere."""

from access.models import User


def free_name(wanted: str) -> str:
    """A username nobody has, like the wanted one: anna, anna2, anna3."""
    signs = "".join(sign for sign in wanted if sign.isalnum() or sign in "@.+-_")[:140] or "person"
    rows = User.objects.filter(username__istartswith=signs).values_list("username", flat=True)
    taken = {name.lower() for name in rows}
    number, name = 1, signs
    while name.lower() in taken:
        number += 1
        name = f"{signs}{number}"
    return name
