# syntax=docker/dockerfile:1
# A node of the PostgreSQL cluster: PostgreSQL 18 with pgvector, Patroni, and etcd. One image for both services. Build it
# at the checkout's root:
#   docker build -f deploy/postgres.Dockerfile -t carryover-postgres .

# A tag may lead elsewhere tomorrow, a digest may not: name the one that you looked at. README.md says how.
ARG POSTGRES_IMAGE=pgvector/pgvector:pg18-trixie

FROM ${POSTGRES_IMAGE}
# Signed by Debian, in the newest version of its stable release: only that one has the newest fixes.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv etcd-server curl \
    && rm -rf /var/lib/apt/lists/*
# The versions that fail-overs were measured with. Some come as sources only: what builds them is locked too.
COPY requirements/build.lock requirements/patroni.lock /build/
RUN python3 -m venv /opt/patroni \
    && /opt/patroni/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
        --requirement /build/build.lock \
    && /opt/patroni/bin/pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        --requirement /build/patroni.lock
COPY deploy/patroni.yml deploy/make-database.sh /etc/patroni/
RUN install --directory --owner postgres --group postgres --mode 0700 /var/lib/patroni /var/lib/etcd
ENV PATH=/opt/patroni/bin:/usr/lib/postgresql/18/bin:$PATH
USER postgres
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["patroni", "/etc/patroni/patroni.yml"]
