# PostgreSQL 17 with pgvector. The cluster is made while the image is built, so
# a container is ready a fraction of a second after it starts.
FROM debian:trixie-slim

# The package would make a cluster of its own under /var/lib/postgresql/17.
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends postgresql-common \
 && sed -ri 's/^#?(create_main_cluster) .*/\1 = false/' /etc/postgresql-common/createcluster.conf \
 && apt-get install -y --no-install-recommends postgresql-17 postgresql-17-pgvector \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data

ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PGDATA=/var/lib/postgresql/data

COPY postgres-entrypoint.sh /usr/local/lib/
USER postgres
RUN sh /usr/local/lib/postgres-entrypoint.sh init

# A new volume is filled from the image, and lies outside the image's slower
# layered file system.
VOLUME /var/lib/postgresql/data
EXPOSE 5432
# Fast shutdown; on SIGTERM Postgres would wait for its clients to leave.
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/usr/local/lib/postgres-entrypoint.sh"]
