"""Settings of AI Coach, all from the environment (config/env.py); the table is in README.md."""

import os
import secrets
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.templatetags.static import static

from config.env import ConfigurationError, Env
from config.services import read_services

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

# --- this installation -------------------------------------------------------------------------
DATA_DIR = env.folder("COACH_DATA_DIR", BASE_DIR / "var")
CACHE_DIR = env.folder("COACH_CACHE_DIR", Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ai-coach")
PORT = env.integer("PORT", 8000, 1, 65535)
DEBUG = env.flag("DEBUG", False)
OFFLINE = env.flag("COACH_OFFLINE", False)
SERVICES = read_services(DATA_DIR)


def _secret_key() -> str:
    """SECRET_KEY, else one made on the first start and kept in the data folder, readable by its owner only."""
    given = env.text("SECRET_KEY")
    if given:
        return given
    path = DATA_DIR / "secret_key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii")
    key = secrets.token_urlsafe(50)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(key)
    return key


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")

# --- what the coach is made of -----------------------------------------------------------------
COACH_SIGNUP = env.choice("COACH_SIGNUP", ("open", "invite", "closed"), "closed")
COACH_GUESTS = env.flag("COACH_GUESTS", True)
COACH_MODELS = env.text("COACH_MODELS")  # parsed by llm.registry; '' means: a running Ollama, else the embedded model
COACH_EMBEDDER = env.text("COACH_EMBEDDER", "e5-small")
OLLAMA_BASE_URL = env.url("OLLAMA_BASE_URL", ("http", "https"), "http://127.0.0.1:11434")
OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", ("http", "https"))
COACH_OPENAI_TRAINING = env.flag("COACH_OPENAI_TRAINING", False)  # whether examples may be sent there to train on
HF_TOKEN = env.text("HF_TOKEN")
HF_BASE_URL = env.url("HF_BASE_URL", ("http", "https"))  # of huggingface-endpoint; "" means the hub's own
COACH_MODERATION = env.text("COACH_MODERATION", "words")  # words, openai or guard:MODEL; checked by llm.moderation
# Languages in which Tesseract, where it is installed, reads scanned pages, by its own names.
COACH_OCR_LANGUAGES = env.codes("COACH_OCR_LANGUAGES", r"[a-z]{3}(_[a-z]+)*", ("swe", "nor", "kor", "eng"))
COACH_URL_INGEST = env.flag("COACH_URL_INGEST", False)  # whether documents may be fetched from the web
COACH_URL_HOSTS = env.names("COACH_URL_HOSTS")  # the only hosts then, '.example.org' with all below it; [] means any
COACH_DEVICE = env.choice("COACH_DEVICE", ("auto", "cpu", "cuda"), "auto")  # of huggingface: models in process

# --- servers: a URL from the environment, else what `up` started --------------------------------
REDIS_URL = env.url("REDIS_URL", ("redis", "rediss", "unix")) or SERVICES.get("redis", "redis://127.0.0.1:6379/0")
CHROMA_URL = env.url("CHROMA_URL", ("http", "https")) or SERVICES.get("chroma", "http://127.0.0.1:8001")
LLAMACPP_SERVER: dict[str, Any] = SERVICES.get("llamacpp", {})  # url, key, model; {} when none runs

try:
    _database = dj_database_url.parse(env.text("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'coach.sqlite3'}")
except (dj_database_url.ParseError, ValueError) as error:
    raise ConfigurationError(f"DATABASE_URL is not a database URL: {error}.") from error
if _database["ENGINE"].endswith("sqlite3"):
    # WAL with IMMEDIATE transactions: 0 errors where the defaults gave 101 of 1,200 (docs/adr/0003).
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8000;"
        "PRAGMA mmap_size=134217728;",
    }
DATABASES = {
    "default": {**_database, "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": not _database["ENGINE"].endswith("sqlite3")}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py 8 closes idle sockets after 5 s unless told otherwise (channels_redis issue 422).
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None, "max_connections": 2000}]},
    }
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES: dict[str, dict[str, str]] = {"default": {}, "knowledge": {}, "models": {}, "training": {}}
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the longest task (a batch of at most two minutes); a killed worker's task is back in seconds.
    "visibility_timeout": 900,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "run" / "beat")
CELERY_BEAT_SCHEDULE = {
    "sweep-turns": {"task": "coach.tasks.sweep_turns", "schedule": 5.0, "options": {"expires": 5}},
    "roll-up-calls": {"task": "llm.tasks.roll_up_calls", "schedule": 3600.0, "options": {"expires": 3600}},
    "forget-calls": {"task": "llm.tasks.forget_calls", "schedule": 86400.0, "options": {"expires": 86400}},
    "sweep-pulls": {"task": "llm.tasks.sweep_pulls", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-jobs": {"task": "knowledge.tasks.sweep_jobs", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-comparisons": {"task": "training.tasks_comparison.sweep", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-finetunes": {"task": "training.tasks_finetune.sweep", "schedule": 15.0, "options": {"expires": 15}},
    "sweep-data": {"task": "training.tasks_data.sweep_data", "schedule": 30.0, "options": {"expires": 30}},
    "scheduled-exports": {
        "task": "training.tasks_data.ask_scheduled_exports",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "sweep-deleted": {"task": "training.tasks_consent.sweep_deleted", "schedule": 60.0, "options": {"expires": 60}},
    "mark-exports": {"task": "training.tasks_consent.mark_exports", "schedule": 600.0, "options": {"expires": 600}},
    "sweep-pairs": {"task": "training.tasks_review.sweep_pairs", "schedule": 30.0, "options": {"expires": 30}},
    "sweep-documents": {"task": "knowledge.tasks.sweep_documents", "schedule": 30.0, "options": {"expires": 30}},
}

# --- Django ------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "accounts",
    "llm",
    "knowledge",
    "coach",
    "training",
    "channels",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.InOneThread",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat"
LOGOUT_REDIRECT_URL = "chat"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("sv", "Svenska"), ("nb", "Norsk bokmål"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "config.storage.ModuleManifestStaticFilesStorage"
    },
}
MEDIA_ROOT = DATA_DIR / "media"  # never served: documents are read through knowledge/ only
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
DOCUMENT_MAX_BYTES = 50 * 1024 * 1024

# --- safety of the pages -----------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 90  # a guest finds the conversation again for three months
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- bounds ------------------------------------------------------------------------------------
QUESTION_MAX_CHARACTERS = 4000
TURNS_PER_MINUTE = env.integer("COACH_TURNS_PER_MINUTE", 120, 1, 100_000)
ANSWER_CACHE_SECONDS = 60 * env.integer("COACH_ANSWER_CACHE_MINUTES", 0, 0, 43_200)
COACH_JUDGE = env.text("COACH_JUDGE")  # one model that chooses between answers in comparisons; "" means people alone
COACH_RERANKER = env.text("COACH_RERANKER")
INDEX_KEEP_DAYS = env.integer("COACH_INDEX_KEEP_DAYS", 7, 1, 3650)  # how long one can roll back to an index
LLM_CALL_DAYS = env.integer("LLM_CALL_DAYS", 30, 1, 3650)  # then only the sums of its day are left of a call
TURNS_AT_ONCE = env.integer("COACH_TURNS_AT_ONCE", 64, 1, 1000)  # per runner

UNFOLD = {
    "SITE_TITLE": "AI Coach",
    "SITE_HEADER": "AI Coach",
    "SITE_URL": "/",
    "SITE_ICON": lambda request: static("img/logo.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/favicon.svg")}],
    "STYLES": [
        lambda request: static("admin-coach/admin.css"),
        lambda request: static("admin-coach/knowledge.css"),
    ],
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "coach.admin_dashboard.dashboard",
    "SIDEBAR": {"navigation": "coach.admin_site.navigation"},
    "BORDER_RADIUS": "10px",
    # Warm paper and the green of the mark; every text on its ground has a contrast of at least 4.5.
    "COLORS": {
        "base": {
            "50": "#fbf8f2",
            "100": "#f4efe5",
            "200": "#e8e0d2",
            "300": "#d5cab8",
            "400": "#a89c89",
            "500": "#756a5c",
            "600": "#5a5146",
            "700": "#474037",
            "800": "#37312a",
            "900": "#221e1a",
            "950": "#181512",
        },
        "primary": {
            "50": "#eef6f3",
            "100": "#d7eae4",
            "200": "#b0d5ca",
            "300": "#86beaf",
            "400": "#69ab9a",
            "500": "#549b88",
            "600": "#2f6b5e",
            "700": "#27574d",
            "800": "#21463f",
            "900": "#1c3a34",
            "950": "#0e211d",
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["stderr"],
        "level": env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "WARNING"),
    },
    "loggers": {"httpx": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
