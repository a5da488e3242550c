#!/bin/bash
# postgres.sh start|stop FOLDER: a PostgreSQL of our own below FOLDER, on a socket there. start prints its DATABASE_URL.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
folder=$(realpath -m "$2")
bin=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)
bin=${bin%/initdb}

# PostgreSQL refuses to run as root: then it is the account that came with its package.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    runuser -u postgres -- "$@"
  else
    "$@"
  fi
}

case $1 in
  start)
    [ -n "$bin" ] || die "PostgreSQL is not installed."
    # its socket must be reachable for that account, wherever this checkout lies
    data=$(mktemp -d /tmp/drover-pg.XXXXXX)
    [ "$(id -u)" != 0 ] || chown postgres: "$data"
    mkdir -p "$folder"
    echo "$data" > "$folder/where"
    cd "$data"
    as_postgres "$bin/initdb" -D "$data/db" -U drover --auth=trust -E UTF8 --no-sync > "$folder/log" 2>&1
    as_postgres "$bin/pg_ctl" -D "$data/db" -l "$data/log" -w \
      -o "-k $data -c listen_addresses='' -c fsync=off -c max_connections=200" start >> "$folder/log" 2>&1
    as_postgres "$bin/createdb" -h "$data" -U drover drover
    printf 'postgres://drover@%s/drover\n' "${data//\//%2F}"
    ;;
  stop)
    [ -f "$folder/where" ] || exit 0
    data=$(cat "$folder/where")
    cd "$data"
    as_postgres "$bin/pg_ctl" -D "$data/db" -m immediate stop > /dev/null || true
    cd /
    rm -rf "$data"
    ;;
esac
