"""By which way a session was begun, as the steps of signing in noted it. Read by processes that have no such steps."""

from django.http import HttpRequest

WAY = "drover_way"  # password, directory, oidc, invitation
STEPS = "account_authentication_methods"  # allauth's


def how(request: HttpRequest | None) -> dict[str, str]:
    """For the record."""
    session = getattr(request, "session", None)
    if session is None or not session.get(WAY):
        return {}
    steps = session.get(STEPS)
    factors = [str(one.get("type", "")) for one in steps or [] if isinstance(one, dict) and one.get("method") == "mfa"]
    return {"way": str(session[WAY])} | ({"second_factor": factors[-1]} if factors else {})
