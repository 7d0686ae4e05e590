# The server of clinprompt in a container. The context is the folder of a bundle, and beyond the base image (name that of
# your own registry with --build-arg BASE=...) nothing is downloaded:
#
#     clinprompt bundle create clinprompt-bundle --bank bank --docs
#     docker build --network none --file clinprompt-bundle/docs/Dockerfile --tag clinprompt clinprompt-bundle
#     docker compose --file clinprompt-bundle/docs/compose.yaml run --rm clinprompt keys add /data/keys.json ward-3
#     docker compose --file clinprompt-bundle/docs/compose.yaml up --detach
#
# The bundle must be for the Python and the processor of the base image; Debian 12 has glibc 2.36.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY . /bundle
# Every file is compared with the manifest before anything is installed.
RUN python /bundle/install.pyz install /bundle --into /app

FROM ${BASE}
LABEL org.opencontainers.image.title="clinprompt" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
# A number, so that an orchestrator can see that it is not root. /data is the only place that outlives the container.
RUN mkdir /data && chown 10001:10001 /data && chmod 0700 /data
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    TMPDIR=/tmp \
    MPLCONFIGDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["/app/venv/bin/python", "-I", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["clinprompt"]
CMD ["serve", "--backbone", "/app/backbone", "--bank", "/app/bank", "--host", "0.0.0.0", "--port", "8080", \
     "--keys", "/data/keys.json", "--audit", "/data/audit.jsonl"]
