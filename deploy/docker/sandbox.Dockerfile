# The stand-in of Gemini, for compose.sandbox.yaml alone; nothing of it is in the other image.
FROM python:3.11-slim
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY workers workers
COPY deploy/__init__.py deploy/__init__.py
COPY deploy/sandbox deploy/sandbox
RUN pip install ".[sandbox]" \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin sandbox
USER 10001
CMD ["python", "-m", "deploy.sandbox", "serve", "--port", "8400"]
