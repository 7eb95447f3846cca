# syntax=docker/dockerfile:1
# A node of the PostgreSQL cluster: PostgreSQL 18 with pgvector, Patroni, and etcd. One image for both services.

FROM pgvector/pgvector:pg18-trixie
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv etcd-server curl \
    && rm -rf /var/lib/apt/lists/*
# The version that fail-overs were measured with.
RUN python3 -m venv /opt/patroni && /opt/patroni/bin/pip install --no-cache-dir 'patroni[etcd3,psycopg3]==4.1.5'
COPY patroni.yml make-database.sh /etc/patroni/
RUN install --directory --owner postgres --group postgres --mode 0700 /var/lib/patroni /var/lib/etcd
ENV PATH=/opt/patroni/bin:/usr/lib/postgresql/18/bin:$PATH
USER postgres
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["patroni", "/etc/patroni/patroni.yml"]
