"""All settings. Values come from the environment (`.env.example` lists them) and have defaults for `make up`."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from cluster.env import (
    env_bool,
    env_int,
    env_number,
    env_numbers,
    env_pairs,
    env_secret,
    env_sender,
    env_smtp,
    env_str,
    env_url,
    oidc_apps,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env_str("DROVER_VAR") or BASE_DIR / "var").absolute()
VERSION = "0.1.0"

DEBUG = env_bool("DROVER_DEBUG", default=False)
SECRET_KEY = env_secret("DROVER_SECRET_KEY", VAR / "secret_key")
# keys of before: what was signed with them (sessions, the audit) is still believed
SECRET_KEY_FALLBACKS = [key for key in env_str("DROVER_OLD_SECRET_KEYS").split(",") if key]
ALLOWED_HOSTS = env_str("DROVER_ALLOWED_HOSTS", "*").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in env_str("DROVER_TRUSTED_ORIGINS").split(",") if origin]
HTTPS = env_bool("DROVER_HTTPS", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = env_int("DROVER_HSTS_SECONDS", 0)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "drover_session"
CSRF_COOKIE_NAME = "drover_csrf"
SESSION_COOKIE_AGE = env_int("DROVER_SESSION_HOURS", 24 * 14) * 3600

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "channels",
    "ui",
    "access",
    "audit",
    "jobs",
    "notices",
    "hosts",
    "storage",
    "vms",
    "selfservice",
    "api",
    "cluster",
]
# Processes without pages (Procfile) leave out what only pages need: memory.
if env_bool("DROVER_PAGES", default=True):
    INSTALLED_APPS += ["ninja", "axes", "allauth.account", "allauth.mfa", "allauth.socialaccount"]

MIDDLEWARE = [
    "api.problems.only_problems",
    "django.middleware.security.SecurityMiddleware",
    "cluster.middleware.content_security_policy",
    "cluster.middleware.no_nul",
    "audit.origin.remember",
    "cluster.middleware.pieces_are_no_pages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "access.middleware.DutiesFirst",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "cluster.middleware.no_host_calls",
    "axes.middleware.AxesMiddleware",
    "cluster.middleware.DatabaseAway",
]

ROOT_URLCONF = "cluster.urls"
ASGI_APPLICATION = "cluster.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "cluster.context.shell",
            ]
        },
    }
]
FORM_RENDERER = "django.forms.renderers.Jinja2"  # inputs and selects only; pages are Django's templates

# SQLite takes the write lock at BEGIN (IMMEDIATE): a transaction never fails half-way for a lock it could not upgrade.
# The file is mapped: a request's connection is new and has nothing cached, but the system has.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000; PRAGMA mmap_size=1073741824;"
    ),
}
DATABASE_URL = env_str("DATABASE_URL", f"sqlite:///{VAR / 'drover.sqlite3'}")
DATABASES: dict[str, Any] = {"default": dj_database_url.parse(DATABASE_URL)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    DATABASES["default"]["TEST"] = {"NAME": VAR / "test.sqlite3"}  # a file: jobs and watch are threads of their own
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env_str("REDIS_URL", f"unix://{VAR / 'run' / 'redis.sock'}")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "drover"},
    }
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 3,
    "socket_timeout": 5,  # a Redis that hangs holds a button this long, not for ever
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env_int("DROVER_WORKERS", 16)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "run" / "beat-schedule")
LEASE_LOOK_S = max(0.5, env_number("DROVER_LEASE_LOOK_SECONDS", 300))  # how often leases are looked through
CELERY_BEAT_SCHEDULE = {
    "jobs.look_after": {"task": "jobs.look_after", "schedule": 5.0, "options": {"expires": 5}},
    "storage.clean_uploads": {"task": "storage.clean_uploads", "schedule": 3600.0, "options": {"expires": 600}},
    "vms.forget_unused_tickets": {
        "task": "vms.forget_unused_tickets",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "vms.close_abandoned_consoles": {
        "task": "vms.close_abandoned_consoles",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "jobs.forget_old": {"task": "jobs.forget_old", "schedule": 3600.0, "options": {"expires": 600}},
    "audit.seal": {"task": "audit.seal", "schedule": 30.0, "options": {"expires": 30}},
    "selfservice.escalate": {"task": "selfservice.escalate", "schedule": 300.0, "options": {"expires": 300}},
    "selfservice.leases": {
        "task": "selfservice.leases",
        "schedule": LEASE_LOOK_S,
        "options": {"expires": max(1.0, LEASE_LOOK_S)},
    },
    "selfservice.unused": {
        "task": "selfservice.unused",
        "schedule": 72 * LEASE_LOOK_S,  # every 6 hours
        "options": {"expires": max(1.0, 12 * LEASE_LOOK_S)},
    },
    "notices.send": {"task": "notices.send", "schedule": 30.0, "options": {"expires": 30}},
    "notices.forget_old": {"task": "notices.forget_old", "schedule": 3600.0, "options": {"expires": 600}},
    "audit.forget_old": {"task": "audit.forget_old", "schedule": 3600.0, "options": {"expires": 600}},
}

AUTH_USER_MODEL = "access.User"
# Too many failed logins as one person from one address: no more from there for a while (access.forms, access.views).
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# A directory (LDAP, Active Directory) besides the local accounts. django-auth-ldap is loaded only then.
LDAP: dict[str, Any] = {
    "url": env_str("DROVER_LDAP_URL"),
    "start_tls": env_bool("DROVER_LDAP_START_TLS", default=env_str("DROVER_LDAP_URL").startswith("ldap://")),
    "ca_file": env_str("DROVER_LDAP_CA_FILE"),
    "bind": env_str("DROVER_LDAP_BIND_DN"),
    "password": env_str("DROVER_LDAP_BIND_PASSWORD"),
    "people": env_str("DROVER_LDAP_PEOPLE"),
    "filter": env_str("DROVER_LDAP_FILTER"),
    "name": env_str("DROVER_LDAP_NAME") or "uid",
    "id": env_str("DROVER_LDAP_ID") or "entryUUID",
    "groups_below": env_str("DROVER_LDAP_GROUPS_BELOW"),
    "group_kind": env_str("DROVER_LDAP_GROUP_KIND") or "member",
}
LDAP_ROLES, LDAP_GROUPS = env_pairs("DROVER_LDAP_ROLES"), env_pairs("DROVER_LDAP_GROUPS")
if LDAP["url"]:
    AUTHENTICATION_BACKENDS.append("access.directory.Directory")
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env_int("DROVER_LOGIN_TRIES", 5)
AXES_COOLOFF_TIME = timedelta(minutes=env_int("DROVER_LOGIN_LOCK_MINUTES", 15))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "access.addresses.client_address"
AXES_LOCKOUT_CALLABLE = "access.views.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
LOGIN_URL = "access:login"
LOGIN_REDIRECT_URL = "cluster:overview"
LOGOUT_REDIRECT_URL = "access:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Signing in goes through django-allauth: its steps (second factor), OpenID Connect, asking again. What it has besides
# is off: no sign-up, no mail, and no rate limits of its own, for failures of every way are counted by axes.
ACCOUNT_ADAPTER = "access.signing_in.Adapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
MFA_ADAPTER = "access.factors.Adapter"
MFA_FORMS = {
    "authenticate": "access.factor_forms.CodeForm",
    "authenticate_webauthn": "access.factor_forms.PasskeyForm",
    "reauthenticate": "access.factor_forms.CodeAgainForm",
    "reauthenticate_webauthn": "access.factor_forms.PasskeyAgainForm",
    "activate_totp": "access.factor_forms.AppForm",
    "add_webauthn": "access.factor_forms.NewPasskeyForm",
}
ACCOUNT_FORMS = {"reauthenticate": "access.factor_forms.PasswordAgainForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Drover"
SOCIALACCOUNT_ADAPTER = "access.oidc.Adapter"
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5

OIDC_URL = env_str("DROVER_OIDC_URL")
OIDC_NAME = env_str("DROVER_OIDC_NAME") or "OpenID Connect"
OIDC_CLAIM = env_str("DROVER_OIDC_CLAIM") or "groups"
OIDC_ROLES = env_pairs("DROVER_OIDC_ROLES")
OIDC_GROUPS = env_pairs("DROVER_OIDC_GROUPS")
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": (env_str("DROVER_OIDC_SCOPES") or "openid profile email").split(),
        "APPS": oidc_apps(
            OIDC_URL, OIDC_NAME, env_str("DROVER_OIDC_CLIENT_ID") or "drover", env_str("DROVER_OIDC_SECRET")
        ),
    }
}

# Mail. Without a server people are told in Drover only (notices).
PUBLIC_URL = env_url("DROVER_PUBLIC_URL", next(iter(CSRF_TRUSTED_ORIGINS), ""))  # for links in mails
_smtp = env_smtp("DROVER_SMTP_URL")
EMAIL_BACKEND = "notices.smtp.Server"
EMAIL_HOST = _smtp.hostname or ""
EMAIL_PORT = _smtp.port or (465 if _smtp.scheme == "smtps" else 587 if _smtp.query else 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_smtp.username or ""), unquote(_smtp.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = _smtp.scheme == "smtps", _smtp.query == "starttls"
EMAIL_CA_FILE = env_str("DROVER_SMTP_CA_FILE")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env_sender("DROVER_MAIL_FROM")
if EMAIL_HOST and not (PUBLIC_URL and DEFAULT_FROM_EMAIL):
    raise ImproperlyConfigured("DROVER_SMTP_URL needs DROVER_MAIL_FROM, and DROVER_PUBLIC_URL for the links in mails.")
NOTICES_KEEP_DAYS = env_int("DROVER_NOTICES_KEEP_DAYS", 90)

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env_str("TZ", "UTC") or "UTC"
USE_TZ = True

# Addresses of static files hold a digest of all of them (scripts/assets.sh), so that browsers may keep them for ever.
STATIC_VERSION = VAR / "static" / ".version"
STATIC_URL = f"static/{STATIC_VERSION.read_text().strip()}/" if STATIC_VERSION.exists() else "static/"
STATIC_ROOT = VAR / "static"
STATICFILES_DIRS = [BASE_DIR / "static", ("vendor", BASE_DIR / "node_modules" / ".drover")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = (
    16 * 1024 * 1024
)  # a part of an upload (8 MiB) stays in memory, never on this machine's disk

SSH_DIR = VAR / "ssh"
MIGRATION_CA_DIR = VAR / "migration-ca"
METRICS_DIR = Path(env_str("DROVER_METRICS_DIR", str(VAR / "metrics")))
RRDCACHED_ADDRESS = env_str("RRDCACHED_ADDRESS")
CONSOLE_SOCKET = env_str("DROVER_CONSOLE", str(VAR / "run" / "console.sock"))
LOCAL_HOST = env_bool("DROVER_LOCAL_HOST", default=True)
JOBS_KEEP_DAYS = env_int("DROVER_JOBS_KEEP_DAYS", 365)
AUDIT_KEEP_DAYS = env_int("DROVER_AUDIT_KEEP_DAYS", 3 * 365)
ESCALATE_HOURS = env_int("DROVER_ESCALATE_HOURS", 24)  # a request that nobody has answered by then is marked
GIVE_UP_HOURS = env_int("DROVER_GIVE_UP_HOURS", 168)  # a build that failed and that nobody has tried again by then
LEASE_WARN_DAYS = sorted(set(env_numbers("DROVER_LEASE_WARN_DAYS", "7,1")), reverse=True)  # before the end
LEASE_GRACE_DAYS = env_number("DROVER_LEASE_GRACE_DAYS", 7)  # from the end until it is archived
LEASE_ARCHIVE_DAYS = env_number("DROVER_LEASE_ARCHIVE_DAYS", 30)  # from then until it is deleted
LEASE_UNUSED_DAYS = env_number("DROVER_LEASE_UNUSED_DAYS", 14)  # 0: nothing is suggested for return
LEASE_DAY_S = env_number("DROVER_LEASE_DAY_SECONDS", 86400)  # how long a day of a lease lasts: shorter to try it out
AUDIT_HEAD_FILE = VAR / "audit-head"
API_CALLS_PER_MINUTE = env_int("DROVER_API_CALLS_PER_MINUTE", 6000)  # of a person; 0 is no limit, here and below
API_STRANGERS_PER_MINUTE = env_int("DROVER_API_STRANGERS_PER_MINUTE", 120)  # from one address without a valid token
MOST_WAITING_JOBS = env_int("DROVER_MOST_WAITING_JOBS", 1000)  # of one person at the same time, as the rest
MOST_UPLOADS = env_int("DROVER_MOST_UPLOADS", 10)
MOST_OPEN_REQUESTS = env_int("DROVER_MOST_OPEN_REQUESTS", 50)
MOST_CONSOLES = env_int("DROVER_MOST_CONSOLES", 100)
MIGRATIONS_PER_HOST = env_int("DROVER_MIGRATIONS_PER_HOST", 2)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_str("DROVER_LOG_LEVEL", "INFO")},
    # axes tells of every log-in; the audit does, with more
    "loggers": {name: {"level": "WARNING"} for name in ("axes", "daphne", "django.channels.server")},
}
