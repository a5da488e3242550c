#!/bin/bash
# test.sh: everything. Installs what it needs, runs all tests (fast ones, PostgreSQL, the real lab, the browser), and
# leaves nothing behind: no process, no lab, no folder, whatever happened.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
failed=0

prepare() {
  local others
  scripts/packages.sh run hypervisor check test || return
  { scripts/assets.sh packages && as_root python3 -m lab packages base full debian; } & others=$!
  scripts/venv.sh dev && wait $others && scripts/assets.sh
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
  labs_down
  scripts/postgres.sh stop "$work/postgres"
  rm -rf "$work"
}

# run NAME MARKS [PATH OR OPTION...]: one part of the tests
run() {
  local name=$1 marks=$2 began=$SECONDS
  shift 2
  say "== $name =="
  if DROVER_TEST_VAR=$work/$name/var .venv/bin/python -m pytest --basetemp="$work/$name/tmp" --durations=40 --durations-min=2 --tb=short -m "$marks" "$@"; then
    echo "$name: passed in $((SECONDS - began)) s" >> "$work/parts"
  else
    echo "$name: FAILED after $((SECONDS - began)) s" >> "$work/parts"
    return 1
  fi
}

# Three labs on two cores are sometimes slower than a test's patience. A few that failed may show, alone and with a new lab,
# that they can pass: named in the summary, for a test that needs this wants work. What fails twice fails.
once_more() {
  local tests
  mapfile -t tests < <(sed -n 's/^\(FAILED\|ERROR\) \([^ []*\).*/\2/p' "$work/lab.log" | sort -u)
  [ ${#tests[@]} -gt 0 ] && [ ${#tests[@]} -le 6 ] || return 1
  printf 'failed at first: %s\n' "${tests[@]}" >> "$work/parts"
  run lab-again "lab" -n 0 "${tests[@]}"
}

prepare || die "The machine could not be prepared for the tests."
mkdir -p var
work=$(mktemp -d "$ROOT/var/t.XXXX")
chmod 711 var "$work"
trap clean_up EXIT
trap 'exit 1' INT TERM
scripts/check.sh || failed=1
if url=$(scripts/postgres.sh start "$work/postgres"); then
  DATABASE_URL=$url run postgres "not lab and not e2e and not processes" -n auto --dist worksteal --ignore=tests/virt || failed=1
else
  failed=1
fi
# the whole matrix of rights and every kind of page have just run there; what a database sees of odd input differs
run thorough "thorough" -n auto --dist worksteal --ignore=tests/security/test_rights.py --ignore=tests/security/test_hostile_pages.py \
  --ignore=tests/api || failed=1
run processes "processes and not lab and not e2e" || failed=1
# three at once, each with labs and a Drover of its own: much of their time is waiting. Which tests stay together, and in
# which order they begin, says tests/conftest.py.
run lab "lab" -n 3 --dist loadfile --no-loadscope-reorder | tee "$work/lab.log"
[ "${PIPESTATUS[0]}" = 0 ] || once_more || failed=1
say "make test took $SECONDS s
$(cat "$work/parts")"
exit $failed
