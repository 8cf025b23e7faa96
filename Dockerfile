# mkdir -p data && docker run --rm -u $(id -u):$(id -g) -v "$PWD/data:/data" IMAGE crawl books

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY crawler crawler
RUN python -m pip wheel --quiet --no-cache-dir --wheel-dir /wheels . \
 && python -m venv /opt/crawler \
 && /opt/crawler/bin/python -m pip install --quiet --no-cache-dir --no-index --find-links /wheels crawler \
 && /opt/crawler/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM python:3.13-slim
COPY --from=build /opt/crawler /opt/crawler
COPY spiders /app/spiders
# Any user may run it, known to /etc/passwd or not: a home that everybody may write to, and no byte code beside sources.
# Spiders are taken from /data/spiders first, then from the image's own.
ENV PATH=/opt/crawler/bin:$PATH \
    CRAWLER_SPIDERS=/app/spiders \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN mkdir -p /data && chmod 1777 /data
WORKDIR /data
USER 1000:1000
# Exec form: the crawler is process 1 and gets `docker stop`'s SIGTERM itself; it finishes within crawl.grace, 8 seconds.
ENTRYPOINT ["crawler"]
