"""The second factor as a step of signing in: allauth's, which is loaded only for people who have one."""

from typing import Any

from allauth.account.stages import LoginStage
from allauth.mfa.internal.constants import LoginStageKey


class SecondFactor(LoginStage):
    key = LoginStageKey.MFA_AUTHENTICATE.value
    urlname = "mfa_authenticate"

    def handle(self) -> tuple[Any, bool]:
        from allauth.mfa.models import Authenticator

        if not Authenticator.objects.filter(user_id=self.login.user.pk).exists():
            return None, True
        from allauth.mfa.stages import AuthenticateStage

        found: tuple[Any, bool] = AuthenticateStage(self.controller, self.request, self.login).handle()
        return found
