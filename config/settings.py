"""The one settings file. An absent variable selects the embedded default: SQLite, a broker made of files.

Every variable is described in docs/operations.md; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from config import env
from training.core import queue_names, sizes

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# Where everything that is not code lives: database, broker, runs, snapshots, models.
MARGIN_HOME = Path(env.text("MARGIN_HOME", str(BASE_DIR / "var"))).resolve()

DEVELOPMENT_KEY = "development-only"  # checks.py refuses it outside the embedded default
SECRET_KEY = env.text("SECRET_KEY", DEVELOPMENT_KEY)
DEBUG = env.flag("DEBUG", default=False)
PRODUCTION = env.flag("PRODUCTION", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "config.apps.PanelConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "annotation",
    "rewardmodel",
    "training",
    "frontend",
    "config.apps.ConfigConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.compress.CompressionMiddleware",
    "config.session.TabbedSessionMiddleware",
    "config.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "annotation.api.auth.TokenMiddleware",
    "annotation.api.kit.idempotency.IdempotencyMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.csp.AdminPolicyMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    }
]


def _database(url: str) -> dict[str, Any]:
    """PostgreSQL by URL, or SQLite with the options that make it safe and quick for several processes."""
    if url:
        parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    else:
        parsed = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(MARGIN_HOME / "db.sqlite3")}
    if parsed["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at once, so that two writers queue and neither fails half-way.
        parsed["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        }
        parsed["CONN_MAX_AGE"] = 60
    else:
        # Compiling takes PostgreSQL 50 ms where the queue's query takes one: it expects a walk that the first hit ends.
        parsed.setdefault("OPTIONS", {}).setdefault("options", "-c jit=off")
    return parsed


DATABASES = {"default": _database(env.text("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "annotation.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("frontend:sign-in")
LOGIN_REDIRECT_URL = reverse_lazy("frontend:home")
LOGOUT_REDIRECT_URL = reverse_lazy("frontend:sign-in")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "中文")]
LOCALE_PATHS = [str(BASE_DIR / "locale")]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = MARGIN_HOME / "static"
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "config.storage.StaticFiles"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Pages get the strict policy; the admin's theme needs inline styles and Alpine's evaluator (see config/csp.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
CSRF_FAILURE_VIEW = "frontend.errors.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES", default=True)
    SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=False)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["annotation.api.auth.DoorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "annotation.api.kit.schema.HouseSchema",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "annotation.api.problems.problem_response",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Margin",
    "DESCRIPTION": "Human preference data and the reward models made from it. docs/api.md tells how to sign in, page, "
    "send a request twice and read errors.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "POSTPROCESSING_HOOKS": [],  # enumerations stand where they are used: shared ones get names that nobody chose
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
API_RATE = env.number(
    "API_RATE", 1200
)  # requests in a minute, of a token or a person's sessions; 0: no limit

# The broker is a hint and the database the truth: JSON only, no result backend.
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
if not CELERY_BROKER_URL:
    _queue = MARGIN_HOME / "broker"
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "data_folder_in": str(_queue / "queue"),
        "data_folder_out": str(_queue / "queue"),
        "control_folder": str(_queue / "control"),
        "polling_interval": 0.05,  # kombu's own default asks once a second
    }
else:
    # Longer than any run's claim: a redelivery is harmless (the claim is compare-and-set) but noisy.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 12 * 3600}
if CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    # Counts requests for all processes together. Without it each counts its own, in its memory.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": CELERY_BROKER_URL,
            "KEY_PREFIX": "margin",
        }
    }
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
# Runs are sent to the queue of their kind and size; see training.core.queues.
MARGIN_QUEUES = env.pairs("MARGIN_QUEUES")  # kind=queue, in the place of the table's
if strangers := [name for name in MARGIN_QUEUES.values() if not name.startswith(queue_names.PREFIX)]:
    raise ImproperlyConfigured(
        f"MARGIN_QUEUES names {strangers[0]!r}; queues of runs begin with {queue_names.PREFIX!r}. "
        "Example: MARGIN_QUEUES=score=runs.gpu.small"
    )
RUN_QUEUES = queue_names.all_queues(MARGIN_QUEUES)
MARGIN_GPU = env.text("MARGIN_GPU", sizes.CPU)  # what a worker of the queue runs.gpu computes on
if MARGIN_GPU not in (sizes.CPU, *sizes.GPUS):
    known = ", ".join((sizes.CPU, *sizes.GPUS))
    raise ImproperlyConfigured(
        f"MARGIN_GPU must be one of {known}; got {MARGIN_GPU!r}. Example: MARGIN_GPU=a100"
    )
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_ACKS_LATE = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(MARGIN_HOME / "beat-schedule")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Seconds. A run whose launcher has not been heard for RUN_SILENCE is queued again.
RUN_HEARTBEAT = env.number("RUN_HEARTBEAT", 2)
RUN_SILENCE = env.number("RUN_SILENCE", 15)
RUN_GRACE = env.number("RUN_GRACE", 20)  # between SIGTERM and SIGKILL when cancelling
RUN_ATTEMPTS = int(env.number("RUN_ATTEMPTS", 5))
RUN_THREADS = int(
    env.number("RUN_THREADS", 0)
)  # CPU threads of a run's process; 0: as many as there are cores
RUN_PROCESSES = int(env.number("RUN_PROCESSES", 1))  # of a run that can be shared out, one a GPU
RUN_SHARDED = env.flag("RUN_SHARDED", default=False)  # they hold parts of the weights (FSDP)
MARGIN_ACCELERATE_CONFIG = env.text(
    "MARGIN_ACCELERATE_CONFIG"
)  # a file of accelerate config, in the place of the two above
MARGIN_STORE = env.text("MARGIN_STORE")  # a URL of fsspec that what runs make is copied to; empty: none
LEASE_SECONDS = env.number("LEASE_SECONDS", 1800)
IMPORT_LIMIT = int(env.number("IMPORT_LIMIT", 512 * 1024**2))  # bytes of a file, packed and unpacked
# Seconds. A live prompt whose answers took longer than LIVE_SECONDS has failed, whoever still writes.
LIVE_SECONDS = env.number("LIVE_SECONDS", 180)
LIVE_STALL = env.number("LIVE_STALL", 30)  # without new text; twice as long for the first
LIVE_STREAMS = int(env.number("LIVE_STREAMS", 8))  # a web process carries at once; each takes a thread
RUN_STREAMS = int(
    env.number("RUN_STREAMS", 4)
)  # runs that a web process lets be followed; each takes a thread
SCORER_SECONDS = env.number("SCORER_SECONDS", 60)  # for which a resident scorer is waited for
RESPONSE_SERVER_KEYS = env.pairs("RESPONSE_SERVER_KEYS")
READ_VARIABLE = env.text  # for a command that is told which variable holds a key
WORKER_TIED = env.flag("WORKER_TIED", default=False)  # end with the process that started this one
RUN_SWEEP = env.number("RUN_SWEEP", 5)
WEEK_SWEEP = env.number("WEEK_SWEEP", 20)  # between two looks at what the clock opens and seals
SNAPSHOT_STORE = env.text(
    "SNAPSHOT_STORE"
)  # a folder or a URL of fsspec; empty: snapshots/ below MARGIN_HOME
SNAPSHOT_SILENCE = env.number(
    "SNAPSHOT_SILENCE", 60
)  # whose writer was not heard of for longer is written again
SNAPSHOT_SWEEP = env.number("SNAPSHOT_SWEEP", 10)
# Webhooks may go to the public internet over https; these two widen it.
WEBHOOK_INSECURE = env.flag("WEBHOOK_INSECURE", default=False)
WEBHOOK_PRIVATE_HOSTS = [host.lower() for host in env.words("WEBHOOK_PRIVATE_HOSTS")]
WEBHOOK_SWEEP = env.number("WEBHOOK_SWEEP", 5)
CELERY_BEAT_SCHEDULE = {
    "sweep-runs": {
        "task": "training.tasks.sweep_runs",
        "schedule": RUN_SWEEP,
        "options": {"expires": RUN_SWEEP},
    },
    "prune-requests": {
        "task": "annotation.tasks.prune_requests",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "prune-imports": {
        "task": "annotation.tasks.prune_imports",
        "schedule": 3600,
        "options": {"expires": 3600},
    },
    "tend-weeks": {
        "task": "annotation.tasks.tend_weeks",
        "schedule": WEEK_SWEEP,
        "options": {"expires": WEEK_SWEEP},
    },
    "sweep-snapshots": {
        "task": "annotation.tasks.sweep_snapshots",
        "schedule": SNAPSHOT_SWEEP,
        "options": {"expires": SNAPSHOT_SWEEP},
    },
    "send-webhooks": {
        "task": "annotation.tasks.send_webhooks",
        "schedule": WEBHOOK_SWEEP,
        "options": {"expires": WEBHOOK_SWEEP},
    },
    "prune-webhooks": {"task": "annotation.tasks.prune_webhooks", "schedule": 3600},
}

# What a run's process may see of the environment: no keys, no database, no broker.
RUN_ENVIRONMENT = env.chosen(
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    prefixes=("HF_", "CUDA_", "NVIDIA_", "OMP_", "NCCL_", "GLOO_"),
)
# Idle threads of a run sleep instead of spinning: on a machine that does other work too, several times faster.
RUN_ENVIRONMENT.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if RUN_THREADS:
    RUN_ENVIRONMENT["OMP_NUM_THREADS"] = str(RUN_THREADS)

LOGGING_CONFIG = None  # config.logs configures structlog and the standard library together
LOG_FORMAT = env.text("LOG_FORMAT", "text")
LOG_LEVEL = env.text("LOG_LEVEL", "INFO")

UNFOLD = {
    "SITE_TITLE": "Margin",
    "SITE_HEADER": "Margin",
    "SITE_SUBHEADER": "The preference loop",
    "SITE_SYMBOL": "balance",
    "SITE_URL": "/",
    "SHOW_HISTORY": True,
    "BORDER_RADIUS": "8px",
    "STYLES": [lambda request: static("training/panel.css")],
    "SCRIPTS": [lambda request: static("training/panel.js")],
    "DASHBOARD_CALLBACK": "training.admin.week.this_week",
    "SIDEBAR": {"navigation": "config.navigation.navigation"},
    "COLORS": {
        # Greys with a warm tint.
        "base": {
            "50": "250 249 247",
            "100": "243 241 238",
            "200": "229 226 221",
            "300": "212 208 202",
            "400": "163 158 151",
            "500": "115 110 104",
            "600": "87 83 78",
            "700": "68 64 60",
            "800": "41 38 35",
            "900": "28 26 24",
            "950": "17 16 14",
        },
        "primary": {
            "50": "238 242 255",
            "100": "224 231 255",
            "200": "199 210 254",
            "300": "165 180 252",
            "400": "129 140 248",
            "500": "99 102 241",
            "600": "79 70 229",
            "700": "67 56 202",
            "800": "55 48 163",
            "900": "49 46 129",
            "950": "30 27 75",
        },
    },
}
