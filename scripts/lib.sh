# shellcheck shell=bash
# Shared by the scripts: words for people, settings from .env, root rights where they are needed.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1
unset PYTHONDONTWRITEBYTECODE # Python compiles once, not at every start of every process

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf '\033[31m%s\033[0m\n' "$*" >&2; exit 1; }

# setting NAME DEFAULT: the environment, else .env, else the default
setting() {
  local value=${!1-}
  if [ -z "$value" ] && [ -f .env ]; then
    value=$(sed -n "s/^$1=//p" .env | tail -1 | sed "s/^[\"']//; s/[\"']\$//")
  fi
  printf '%s' "${value:-$2}"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "This needs root rights, and there is no sudo: $*"
  fi
}

has_systemd() { [ -d /run/systemd/system ]; }

names() { sed 's/#.*//' "scripts/packages/$1.txt" | xargs; }

missing() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# need_space FOLDER MB WHAT: refuse now rather than half-way
need_space() {
  local folder=$1 free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df --output=avail -BM "$folder" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "$2" ] || die "The disk is full: only $free MB are free where $1 lies, and $3 $2 MB."
}

# need_own PATH...: refuse to mix two people's files, or the next start of the first of them fails
need_own() {
  local path owner
  for path in "$@"; do
    [ -e "$path" ] || [ "$(id -u)" = 0 ] || path=$(dirname "$path")
    [ -e "$path" ] || continue
    owner=$(stat -L -c %U "$path")
    if [ "$(id -u)" = 0 ] && [ "$owner" != root ]; then
      die "$path belongs to $owner, who could not use it any more after root did. Start as $owner, or from a checkout of root's own."
    elif [ ! -w "$path" ]; then
      die "$path belongs to $owner, and you can't write there. Use a checkout of your own, or have this one given to you (chown -R)."
    fi
  done
}
