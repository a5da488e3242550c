#!/bin/bash
# check.sh: format, lint, types, import directions, migrations, fast tests. Under 90 s on two cores.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
need_own "$ROOT/.venv" "$ROOT/node_modules"
{ scripts/packages.sh run check && scripts/venv.sh dev && scripts/assets.sh; } || exit 1
PATH=$ROOT/.venv/bin:$PATH
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

# part NAME CMD...: quiet when it is well
part() {
  local name=$1 began=$SECONDS
  shift
  if "$@" > "$out/$name" 2>&1; then
    printf '%-12s ok  %3s s\n' "$name" $((SECONDS - began))
  else
    printf '%-12s FAILED\n' "$name"
    cat "$out/$name"
    return 1
  fi
}

scripts_are_clean() {
  command -v shellcheck > /dev/null || { echo "no shellcheck here"; return 0; }
  shellcheck -x scripts/up scripts/keep scripts/with_parent scripts/*.sh .ci/run
}

slow_checks() {
  local bad=0
  part types mypy . || bad=1
  part imports lint-imports || bad=1
  return $bad
}

slow_checks & slow=$!
part format ruff format --check --quiet . || failed=1
part lint ruff check --quiet . || failed=1
part shell scripts_are_clean || failed=1
part migrations env DROVER_VAR="$out/var" DROVER_SECRET_KEY=check python manage.py makemigrations --check --dry-run || failed=1
# tables straight from the models: the migrations have their own part here and are run by `make test`
python -m pytest --no-migrations -n auto --dist worksteal --tb=short -m "not lab and not e2e and not postgres and not processes and not thorough" "$@" || failed=1
wait $slow || failed=1
[ $failed = 0 ] && say "make check: all is well ($SECONDS s)"
exit $failed
