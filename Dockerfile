# One image per service: docker build --build-arg SERVICE=consent -t assent/consent .
# It holds that service, the members of the workspace that it declares, the packages of its own lock, and dbmate.
# A bank's mirror of packages is given as a secret: --secret id=pip.conf,src=pip.conf
ARG PYTHON=3.11
ARG DBMATE=2.37.0

FROM ghcr.io/amacneil/dbmate:${DBMATE} AS dbmate

FROM python:${PYTHON}-slim AS builder
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
RUN test -n "${SERVICE}" || { echo "name a service: --build-arg SERVICE=consent" >&2; exit 1; }
# Packages first: they change less often than code. Wheels only, so that nothing of theirs runs while we build.
COPY requirements/bootstrap.lock requirements/${SERVICE}.lock requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --only-binary :all: --requirement requirements/bootstrap.lock \
    && python -m venv --without-pip /app \
    && pip --python /app/bin/python install --require-hashes --only-binary :all: --requirement "requirements/${SERVICE}.lock"
COPY deploy/image/members.py ./
COPY libs libs
COPY services services
RUN for member in $(python members.py "${SERVICE}"); do uv build --quiet --offline --wheel --out-dir wheels "${member}" || exit 1; done \
    && pip --python /app/bin/python install --no-deps --no-index wheels/*.whl \
    && python -m compileall -q /app/lib \
    # An argument cannot be named in ENTRYPOINT, so the image gets a command that always has one name.
    && printf '#!/bin/sh\nexec /app/bin/python -m %s_service "$@"\n' "${SERVICE}" > /app/bin/serve \
    && chmod 0755 /app/bin/serve

FROM python:${PYTHON}-slim AS runtime
ARG SERVICE
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="assent/${SERVICE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The root file system may be read-only: nothing is written but below /tmp (migrations stage their files there).
ENV PATH=/app/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/tmp
COPY --from=dbmate /usr/local/bin/dbmate /usr/local/bin/dbmate
COPY --from=builder /app /app
# A number, because an orchestrator cannot tell from a name that it is not root.
USER 65532:65532
EXPOSE 50051
# Liveness: some engines restart what is unhealthy, which a lost dependency must not cause. Readiness is the default of the same command.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "servicekit.healthcheck", "--service", "live"]
ENTRYPOINT ["/app/bin/serve"]

# Development only: makes keys, tokens and key folders for a compose stack. It is never part of a service's image.
FROM builder AS keys-builder
RUN uv build --quiet --offline --wheel --out-dir development libs/embedded \
    && pip --python /app/bin/python install --no-deps --no-index development/*.whl

FROM runtime AS keys
COPY --from=keys-builder /app /app
COPY deploy/keys/keys.py /app/keys.py
USER 0:0
# A volume takes over the owner of the folder that it is first mounted on.
RUN for folder in state trust keks last-signed consent consent-signer content eligibility orchestration profile ranking signals; do \
        install --directory --owner 65532 --group 65532 --mode 0700 "/keys/${folder}"; done
USER 65532:65532
HEALTHCHECK NONE
ENTRYPOINT ["python", "/app/keys.py"]

FROM runtime AS service
