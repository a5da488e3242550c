#!/bin/bash
# venv.sh [dev]: .venv as requirements.lock (or requirements-dev.lock) says; redone only when the lock file changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

lock=requirements${1:+-$1}.lock
stamp=.venv/.${lock%.lock}
sum=$(python3 -c 'import sys; print(sys.version)'; sha256sum "$lock")
if [ "$(cat "$stamp" 2>/dev/null)" = "$sum" ]; then
  exit 0
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Drover needs Python 3.11 or newer."
need_space "$ROOT" 500 "Python's packages need"
say "Installing Python packages into .venv (once; a minute or two)"
[ -x .venv/bin/pip ] || python3 -m venv .venv
# rrdtool asks with a call that Python 3.13 no longer has whether Python runs
export CFLAGS="${CFLAGS-} -DPyEval_ThreadsInitialized=Py_IsInitialized"
.venv/bin/pip install --quiet --use-pep517 --disable-pip-version-check --no-input --require-hashes -r "$lock"
rm -f .venv/.requirements*
printf '%s' "$sum" > "$stamp"
[ -z "${1-}" ] || { lock=requirements.lock; (python3 -c 'import sys; print(sys.version)'; sha256sum $lock) > .venv/.requirements; }
