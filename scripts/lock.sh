#!/bin/bash
# lock.sh: write the lock files anew from requirements.txt, requirements-dev.txt, scripts/node.in and package.json.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
scripts/venv.sh dev
export UV_CUSTOM_COMPILE_COMMAND="make lock"
for file in requirements.txt requirements-dev.txt scripts/node.in; do
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-emit-find-links "$file" -o "${file%.*}.lock"
done
PATH=$PATH:$ROOT/.node/bin npm install --package-lock-only --ignore-scripts --silent
if grep -nE 'https?://|file:/' requirements.lock requirements-dev.lock scripts/node.lock; then
  die "The lines above hold addresses: a lock file names versions and digests only."
fi
