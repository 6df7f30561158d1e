# One image for every process of AI Coach: web, turn runner, worker, beat. See docker-compose.yml.
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
# First and in a command of its own: this is the build that we pin.
RUN pip install torch==2.13.0
COPY requirements.txt requirements.txt
RUN pip install -r requirements.txt

FROM python:3.11-slim
# libgomp: what the embedder and the embedded language model compute with
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin coach \
    && install -d -o coach -g coach /data /cache
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    ANONYMIZED_TELEMETRY=False \
    COACH_DATA_DIR=/data \
    COACH_CACHE_DIR=/cache \
    HF_HOME=/cache/huggingface
USER 10001
VOLUME ["/data", "/cache"]
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-access-log", "--ws", "websockets", "--timeout-graceful-shutdown", "5"]
