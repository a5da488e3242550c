#!/bin/bash
# packages.sh LIST...: install what is missing of scripts/packages/LIST.txt, and say so first.
# A web server or Redis that comes with it is not started and does not start at boot: Drover runs its own copies.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

QUIET_SERVICES="nginx redis-server postgresql slapd"
POLICY=/usr/sbin/policy-rc.d

# Until we are done, package scripts may not start these services; what was asked before us is asked for all others.
hold_services() {
  local held=$1 script
  if [ -e $POLICY ]; then
    as_root mv $POLICY $POLICY.before-drover
  fi
  script=$(mktemp)
  {
    echo '#!/bin/sh'
    echo "case \" $held \" in *\" \${1%.service} \"*) exit 101 ;; esac"
    echo "[ ! -x $POLICY.before-drover ] || exec $POLICY.before-drover \"\$@\""
    echo 'exit 0'
  } > "$script"
  as_root install -m 755 "$script" $POLICY
  rm "$script"
}

release_services() {
  if [ -e $POLICY.before-drover ]; then
    as_root mv $POLICY.before-drover $POLICY
  else
    as_root rm -f $POLICY
  fi
}

stay_off() {
  local service
  for service in "$@"; do
    if command -v systemctl >/dev/null; then
      as_root systemctl disable --quiet "$service" 2>/dev/null || true
    elif command -v update-rc.d >/dev/null; then
      as_root update-rc.d "$service" disable >/dev/null 2>&1 || true
    fi
  done
}

main() {
  local list wanted=() absent held=()
  for list in "$@"; do
    read -ra more <<< "$(names "$list")"
    wanted+=("${more[@]}")
  done
  mapfile -t absent < <(missing "${wanted[@]}" | sort -u)
  [ ${#absent[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "Please install these packages by hand (there is no apt-get here): ${absent[*]}"
  say "Installing ${#absent[@]} system packages: ${absent[*]}"
  for service in $QUIET_SERVICES; do
    [ -z "$(missing "$service")" ] || held+=("$service")
  done
  trap release_services EXIT
  trap 'exit 1' INT TERM
  hold_services "${held[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${absent[@]}" < /dev/null > "$log" 2>&1 ||
    { tail -30 "$log" >&2; die "The packages could not be installed; the lines above say why (all of it: $log)."; }
  stay_off "${held[@]}"
}

log=$(mktemp -t drover-packages.XXXXXX)
main "$@"
rm -f "$log"
