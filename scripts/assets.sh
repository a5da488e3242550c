#!/bin/bash
# assets.sh [packages]: what browsers load. npm packages as package-lock.json says, then (unless only those are asked for,
# which needs no .venv) all static files into DROVER_VAR/static.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
var=$(setting DROVER_VAR "$ROOT/var")

npm_path() {
  if ! command -v npm >/dev/null; then
    if [ ! -x .node/bin/npm ] || ! cmp -s scripts/node.lock .node/lock; then
      say "There is no npm here: installing Node.js into .node"
      python3 -m venv .node
      .node/bin/pip install --quiet --disable-pip-version-check --no-input --require-hashes -r scripts/node.lock
      cp scripts/node.lock .node/lock
    fi
    PATH=$ROOT/.node/bin:$PATH
  fi
}

packages() {
  local sum
  sum=$(cat package-lock.json scripts/collect.mjs | sha256sum)
  if [ "$(cat node_modules/.drover-stamp 2>/dev/null)" = "$sum" ]; then
    return
  fi
  npm_path
  # the authorities this machine trusts, which may be a company's own, count for npm too
  if [ -z "${NODE_EXTRA_CA_CERTS-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
    export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
  fi
  say "Installing what the browser needs (npm)"
  npm ci --loglevel=error
  npm run --silent collect > /dev/null
  printf '%s' "$sum" > node_modules/.drover-stamp
}

# The version is a digest of all files: it is part of every address below /static/, so browsers may keep files for ever.
static() {
  local version=$var/static/.version
  if [ -f "$version" ] && [ -z "$(find static ui access jobs hosts storage vms cluster node_modules/.drover \
    .venv/.requirements requirements.lock -newer "$version" \( -path '*static*' -o -path '*.drover*' -o -name '*require*' \) \
    -print -quit)" ]; then
    return
  fi
  say "Collecting static files"
  rm -rf "$var/static"
  mkdir -p "$var/static"
  DROVER_VAR=$var .venv/bin/python manage.py collectstatic --noinput --verbosity 0
  (cd "$var/static" && find . -type f ! -name .version -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12) \
    > "$version.new"
  mv "$version.new" "$version"
}

packages
[ "${1-}" = packages ] || static
