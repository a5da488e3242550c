#!/bin/bash
# test.sh: everything. Installs what it needs, runs all tests (fast ones, PostgreSQL, the real lab, the browser), and
# leaves nothing behind: no process, no lab, no folder, whatever happened.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
failed=0 own=

prepare() {
  scripts/packages.sh run hypervisor test && scripts/venv.sh dev && scripts/assets.sh &&
    as_root python3 -m lab packages base full debian
}

# labs that a killed test run left up: they are named in tests/labkit.py and tests/lab/conftest.py
labs_down() {
  local file
  find "$work" var/test-labs -name lab.json -path '*/lab*' 2>/dev/null | while read -r file; do
    DROVER_VAR=$(dirname "$(dirname "$file")") LAB_NAME=$(lab_fact "$file" name) LAB_SUBNET=$(lab_fact "$file" subnet) \
      as_root python3 -m lab down
  done
}

lab_fact() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]].removesuffix(".0/24"))' "$1" "$2"; }

clean_up() {
  trap '' INT TERM
  [ -z "$own" ] || kill -- -"$own" 2> /dev/null
  labs_down
  scripts/postgres.sh stop "$work/postgres"
  rm -rf "$work"
}

# run NAME MARKS [PATH OR OPTION...]: one part of the tests
run() {
  local name=$1 marks=$2 began=$SECONDS
  shift 2
  say "== $name =="
  if DROVER_TEST_VAR=$work/$name/var .venv/bin/python -m pytest --basetemp="$work/$name/tmp" --durations=10 -m "$marks" "$@"; then
    echo "$name: passed in $((SECONDS - began)) s" >> "$work/parts"
  else
    echo "$name: FAILED after $((SECONDS - began)) s" >> "$work/parts"
    return 1
  fi
}

# tests of the lab and of starting have hosts and processes of their own: they wait while the others wait for theirs
run_labs() {
  local bad=0
  set -m # a process group of its own, which can be ended as a whole
  run own "lab and not e2e" tests/lab tests/boot > "$work/own.log" 2>&1 & own=$!
  set +m
  run lab "lab and not e2e" --ignore=tests/lab --ignore=tests/boot || bad=1
  wait "$own" || bad=1
  own=
  cat "$work/own.log"
  return $bad
}

prepare || die "The machine could not be prepared for the tests."
mkdir -p var
work=$(mktemp -d "$ROOT/var/t.XXXX")
chmod 711 var "$work"
trap clean_up EXIT
trap 'exit 1' INT TERM
scripts/check.sh || failed=1
if url=$(scripts/postgres.sh start "$work/postgres"); then
  DATABASE_URL=$url run postgres "not lab and not e2e and not processes" -n auto --dist worksteal || failed=1
else
  failed=1
fi
run processes "processes and not lab and not e2e" || failed=1
run_labs || failed=1
run browser "e2e" || failed=1
say "make test took $SECONDS s
$(cat "$work/parts")"
exit $failed
