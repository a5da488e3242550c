from django.apps import AppConfig, apps


class AccessConfig(AppConfig):
    name = "access"

    def ready(self) -> None:
        from access import outside, sessions

        outside.check_settings()
        sessions.listen()
        if apps.is_installed("allauth.mfa"):
            from access import factors

            factors.listen()
