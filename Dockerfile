# A model of one's own: FROM brinery:<version>, then COPY its bundle to /app/pickles.
ARG BASE_IMAGE=python:3.11-slim-bookworm
# The same system and Python with a C compiler, which the engines of tree ensembles are built by.
ARG BUILD_IMAGE=python:3.11-bookworm

FROM ${BUILD_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
# The dependencies are a layer of their own: they change less often than the code.
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: --requirement requirements.lock
COPY setup.cfg setup.py pyproject.toml LICENSE ./
COPY server server
# Without the loop over trees the image would serve them by the pickle: slowly, and nobody would notice.
RUN pip install --no-build-isolation --no-deps . \
    && cd / && python -c 'import server.engine._walk'

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="brinery" \
      org.opencontainers.image.description="A generic model-serving runtime for scikit-learn pickles" \
      org.opencontainers.image.licenses="MIT"
# A number, so that Kubernetes can see that it is not root.
ARG UID=10001
RUN groupadd --gid "${UID}" brinery \
    && useradd --uid "${UID}" --gid "${UID}" --no-create-home --home-dir /app --shell /usr/sbin/nologin brinery
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
# Owned by root: the server reads its bundle and cannot change it.
COPY pickles pickles
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRINERY_BUNDLE=/app/pickles
USER ${UID}:${UID}
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('BRINERY_PORT', '8000') + '/api/health/ready', timeout=2)"]
ENTRYPOINT ["brinery"]
CMD ["serve"]
