#!/bin/bash
# lab.sh up|down: the lab on this machine, and in the running Drover.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
var=$(setting DROVER_VAR "$ROOT/var")
need_own "$var" "$ROOT/.venv"
mkdir -p "$var" # ours, not root's, if the lab comes before the first start

lab() { as_root env DROVER_VAR="$var" LAB_NAME="${LAB_NAME-drover}" LAB_SUBNET="${LAB_SUBNET-10.77.0}" python3 -m lab "$@"; }

# The lab is root's; Drover, which may not be, reads where its hosts are and copies images with its key.
readable() { [ "$(id -u)" = 0 ] || as_root chown "$(id -u)" "$var"/lab/{lab.json,key,known_hosts}; }

command -v python3 > /dev/null || scripts/packages.sh run
lab packages
case $1 in
  up)
    lab up
    readable
    [ -S "$var/run/web.sock" ] || die "The lab is up, but Drover does not run: start it with make up, then run make lab again."
    .venv/bin/python manage.py lab_adopt
    say "The lab is part of your cluster now. Ideas what to do with it: README.md, Five minutes' tour. It ends with make lab-down."
    ;;
  down)
    if [ -f "$var/lab/lab.json" ]; then
      if [ -S "$var/run/web.sock" ]; then
        readable
        .venv/bin/python manage.py lab_adopt --forget || say "Drover could not forget all of the lab: remove the rest on its pages."
      elif [ -f "$var/drover.sqlite3" ]; then
        say "Drover does not run, so it keeps its records of the lab's hosts: remove them on their pages, or begin anew with make lab."
      fi
    fi
    lab down
    ;;
esac
