"""The link of an invitation while it waits to be mailed."""

from access.sealed import box

PURPOSE = "letters"


def sealed(path: str) -> str:
    return box(PURPOSE).encrypt(path.encode()).decode()


def opened(text: str) -> str:
    """Raises cryptography.fernet.InvalidToken if the key is another one by now."""
    return box(PURPOSE).decrypt(text.encode()).decode()
