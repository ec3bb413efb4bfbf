# One image for everything. By itself it is the embedded default, with all data below /var/lib/mediajobs:
#
#   docker build --tag mediajobs .
#   docker run --rm mediajobs demo
#   docker run --rm --init --publish 127.0.0.1:3000:3000 --volume mediajobs:/var/lib/mediajobs \
#       mediajobs up --host 0.0.0.0 --unprotected
#
# (Within the container, `up` has to listen on an address that Docker can reach. With --unprotected it asks for no login:
# publish the port on loopback only. docs/how-to/login.md tells how to let others in.) With DAGSTER_HOME=/opt/dagster it is a part of a cluster: see docker-compose.yml.
#
# What is installed stands in requirements.lock, with its hashes; ffmpeg and fonts come from wheels. FriBidi, which
# Pillow loads when it is there, orders the letters of titles in Arabic and other scripts.
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/mediajobs
ENV PATH=/opt/mediajobs/bin:$PATH
# First what changes seldom: a change of our own code leaves these layers as they are.
COPY requirements.lock requirements-dev.lock ./
RUN pip install --require-hashes -r requirements.lock
# setuptools builds our own package; the runtime needs it no more than the lock of the runtime names it.
RUN awk '/^setuptools==/ {on=1; print; next} on && /^ / {print; next} on {exit}' requirements-dev.lock > build.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r build.lock
COPY pyproject.toml README.md ./
COPY mediajobs_dagster mediajobs_dagster
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . && pip install --no-deps dist/*.whl

FROM ${PYTHON}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libfribidi0 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 mediajobs \
    && install --directory --owner mediajobs /var/lib/mediajobs /opt/dagster
COPY --from=build /opt/mediajobs /opt/mediajobs
COPY deploy/dagster.celery.yaml /opt/dagster/dagster.yaml
ENV PATH=/opt/mediajobs/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MEDIAJOBS_HOME=/var/lib/mediajobs
USER mediajobs
WORKDIR /var/lib/mediajobs
ENTRYPOINT ["mediajobs"]
CMD ["--help"]
