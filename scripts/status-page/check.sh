#!/usr/bin/env bash
# Looks at the status page in headless Chromium: in a quiet cluster, while a node dies, and while the stream is cut.
# usage: check.sh ROWHOUSE IMAGES: the binary, and the folder for the screenshots
set -euo pipefail

rowhouse=$1
images=$2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/rowhouse/playwright
here=$(cd "$(dirname "$0")" && pwd)

for program in chromium node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "status-page: $program is missing. On Debian: apt-get install chromium nodejs npm" >&2
        exit 69
    fi
done
if [[ ! -d $tools/node_modules/playwright-core ]]; then
    npm install --silent --no-fund --no-audit --prefix "$tools" playwright-core@1
fi

folder=$(mktemp -d)
# A killed component stays away for long enough to look at it.
"$rowhouse" dev --data-dir "$folder/cluster" --restart-delay-ms 15000 --http-port 0 --tls-port 0 --admin-port 0 \
    --dht-port 0 --pkarr-relay-port 0 --http-relay-port 0 --node-port 0 --probe-port 0 --metrics-port 0 >"$folder/dev.log" 2>&1 &
dev=$!
trap 'kill "$dev" 2>/dev/null || true; wait "$dev" 2>/dev/null || true; rm -rf "$folder"' EXIT

mkdir -p "$images"
NODE_PATH=$tools/node_modules node "$here/check.cjs" "$folder/cluster/cluster.json" "$images" "$dev" || {
    code=$?
    tail -n 20 "$folder/dev.log" >&2
    exit "$code"
}
