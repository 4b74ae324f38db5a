#!/bin/sh
# Runs Postgres in the foreground on $PGDATA; arguments go to the server, such
# as `-c fsync=off`. `postgres-entrypoint.sh init` only makes the cluster.
#
# POSTGRES_PASSWORD, when set, is made the password of `runledger` at each
# start. Without it the password is `runledger`: for tests, not for a network.
set -eu

make_cluster() {
    echo "making a cluster in $PGDATA"
    password_file=$(mktemp)
    echo runledger >"$password_file"
    initdb --username=runledger --pwfile="$password_file" \
        --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 >/dev/null
    rm "$password_file"
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    cat >>"$PGDATA/postgresql.conf" <<-END
	listen_addresses = '*'
	max_connections = 200
	shared_buffers = 1GB
	max_wal_size = 4GB
	default_toast_compression = lz4
	jit = off
	END
    echo "CREATE DATABASE runledger;" | postgres --single postgres >/dev/null
}

set_password() {
    quoted=$(printf %s "$1" | sed "s/'/''/g")
    echo "ALTER ROLE runledger PASSWORD '$quoted';" | postgres --single postgres >/dev/null
}

# Only a bind mount or a tmpfs comes empty.
[ -e "$PGDATA/PG_VERSION" ] || make_cluster
[ "${1-}" != init ] || exit 0
[ -z "${POSTGRES_PASSWORD-}" ] || set_password "$POSTGRES_PASSWORD"
unset POSTGRES_PASSWORD
exec postgres "$@"
