# An image that serves a bundle; docs/containers.md says what the arguments do.
ARG BASE_IMAGE=python:3.11-slim-bookworm
# What fetches bundles makes an image over a third larger, so one that holds its bundle goes without it.
ARG BUNDLE=
ARG END=${BUNDLE:+.lock}
ARG LOCK=requirements${END:--remote.lock}

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
# Only where it lacks them: a compiler, and the headers that belong to this Python. A pinned version of theirs would
# tie us to one release of one distribution.
# hadolint ignore=DL3008,SC2086
RUN headers="$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("INCLUDEPY"))')/Python.h"; \
    packages=; \
    command -v cc || packages="gcc libc6-dev"; \
    test -e "${headers}" || packages="${packages} libpython3-dev"; \
    if test -n "${packages}"; then \
        apt-get update \
        && apt-get install -y --no-install-recommends ${packages} \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# pip has an environment of its own, and stays behind in it.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
# The dependencies are a layer of their own: they change less often than the code.
ARG LOCK
COPY ${LOCK} /src/
RUN /opt/pip/bin/pip --python /opt/venv/bin/python install --no-compile --require-hashes --only-binary :all: \
        --requirement "/src/${LOCK}"
COPY setup.cfg setup.py pyproject.toml LICENSE /src/
COPY server /src/server
# The import is a check: without the loop over trees the image would serve them by the pickle, slowly, and nobody would
# notice. Three packages bring tests that nothing of theirs imports. Bytecode is not held against sources, which do not
# change any more.
WORKDIR /opt/venv/lib
RUN /opt/pip/bin/pip --python /opt/venv/bin/python install --no-compile --no-build-isolation --no-deps /src \
    && /opt/pip/bin/pip --python /opt/venv/bin/python uninstall --yes setuptools \
    && /opt/venv/bin/python -c 'import server.engine._walk' \
    && find python3.*/site-packages/pandas python3.*/site-packages/scipy python3.*/site-packages/sklearn \
        -type d -name tests -prune -exec rm -rf {} + \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .
# A folder's content is copied, into a stage that is left behind; without a bundle something else has to be.
ARG BUNDLE
COPY ${BUNDLE:-LICENSE} /bundle/
# What the bundle brings, or says that it was made with, goes before the lock; then the files that a server reads.
RUN mkdir /pickles; \
    if test -n "${BUNDLE}"; then \
        set -e; \
        pip="/opt/pip/bin/pip --python /opt/venv/bin/python"; \
        if test -d /bundle/wheels; then $pip install --no-deps /bundle/wheels/*.whl; fi; \
        test -e /bundle/requirements.txt || /opt/venv/bin/brinery requirements /bundle > /bundle/requirements.txt; \
        $pip install --only-binary :all: --find-links /bundle/wheels --requirement /bundle/requirements.txt; \
        $pip check; \
        /opt/venv/bin/python -c 'import pathlib as p, shutil as s, server.bundle as b; \
            [s.copyfile(file, f"/pickles/{file.name}") \
                for file in map(p.Path("/bundle").joinpath, (*b.LOADED, *b.PROOFS)) if file.exists()]'; \
    fi

FROM ${BASE_IMAGE}
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# A number, so that Kubernetes can see that it is not root.
ARG UID=10001
# To import is to write bytecode: some base images bring none for Python's own library.
RUN groupadd --gid "${UID}" brinery \
    && useradd --uid "${UID}" --gid "${UID}" --no-log-init --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin brinery \
    && python -c 'import server.console.serve, server.console.check, server.console.probe, server.loop_worker'
ARG ALLOWED_GLOBALS=
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BRINERY_ALLOWED_GLOBALS=${ALLOWED_GLOBALS}
# The default bundle, `pickles`, is the folder there: a variable that names it would hide what a platform names.
WORKDIR /
# Owned by root: the server reads its bundle and cannot change it.
COPY --from=build /pickles /pickles
USER ${UID}:${UID}
ARG BUNDLE
ARG MODEL_DIGEST=
# What cannot be served is no image, and neither is one whose label says another digest.
RUN if test -n "${BUNDLE}"; then BRINERY_BUNDLE_DIGEST="${MODEL_DIGEST}" brinery check /pickles; fi
ARG MODEL_NAME=
ARG MODEL_VERSION=
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true \
      org.opencontainers.image.title="brinery" \
      org.opencontainers.image.description="Serves a scikit-learn model as a documented and validated REST API" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0" \
      brinery.model.name="${MODEL_NAME}" \
      brinery.model.version="${MODEL_VERSION}" \
      brinery.model.digest="${MODEL_DIGEST}"
EXPOSE 8000
STOPSIGNAL SIGTERM
# The start tries the model; a probe asks for five seconds at most.
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["brinery", "probe"]
ENTRYPOINT ["brinery"]
CMD ["serve"]
