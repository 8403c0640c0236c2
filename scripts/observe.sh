#!/usr/bin/env bash
# Runs a development cluster with a Prometheus that scrapes and judges it and an OTLP collector that gets its traces, until
# Ctrl-C. usage: observe.sh ROWHOUSE
set -euo pipefail

rowhouse=$1
here=$(cd "$(dirname "$0")/.." && pwd)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/rowhouse/collector
collector_port=${COLLECTOR_PORT:-4317}
prometheus_port=${PROMETHEUS_PORT:-9090}
# A cold start on a busy machine.
ready_s=240

for program in prometheus python3 curl; do
    if ! command -v "$program" >/dev/null; then
        echo "observe: $program is missing. On Debian: apt-get install prometheus python3-venv curl" >&2
        exit 69
    fi
done
mkdir -p "$tools"
agent=$(find "$tools" -name rotel-agent | head -n 1)
if [[ -z $agent ]]; then
    echo "observe: installing the collector (rotel) into $tools"
    python3 -m venv "$tools" && "$tools/bin/pip" install --quiet rotel==0.0.1a15 || {
        echo "observe: no collector: python3-venv or rotel cannot be had here. Debian's Python 3.11 has both" >&2
        exit 69
    }
    agent=$(find "$tools" -name rotel-agent | head -n 1)
    chmod +x "$agent"
fi

folder=$(mktemp -d)
pids=()
end() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait "${pids[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT

"$agent" start --pid-file "$folder/collector.pid" --log-file "$folder/collector.log" \
    --otlp-grpc-endpoint "127.0.0.1:$collector_port" --otlp-http-endpoint 127.0.0.1:0 --exporter blackhole \
    --debug-log traces --debug-log-verbosity detailed >"$folder/traces.log" 2>&1 &
pids+=($!)

OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$collector_port OTEL_BSP_SCHEDULE_DELAY=1000 \
    "$rowhouse" dev --data-dir "$folder/cluster" >"$folder/dev.log" 2>&1 &
cluster=$!
pids+=("$cluster")
echo "observe: the cluster starts ($folder/dev.log)"
for ((waited = 0; ; waited++)); do
    grep -q "Ctrl-C stops" "$folder/dev.log" && break
    if ! kill -0 "$cluster" 2>/dev/null || ((waited > ready_s)); then
        cat "$folder/dev.log" >&2
        exit 1
    fi
    sleep 1
done

python3 - "$folder/cluster/cluster.json" "$here/observability/alerts" >"$folder/prometheus.yml" <<'P'
import json, sys

components = json.load(open(sys.argv[1]))["components"]
addresses = [address for component in components for address in component["addresses"]]
targets = [address["address"] for address in addresses if address["what"] == "metrics"]
job = {"job_name": "rowhouse", "static_configs": [{"targets": targets}]}
intervals = {"scrape_interval": "5s", "evaluation_interval": "5s"}
print(json.dumps({"global": intervals, "rule_files": [sys.argv[2] + "/*.yml"], "scrape_configs": [job]}))
P
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/prometheus" \
    --enable-feature=exemplar-storage --web.listen-address="127.0.0.1:$prometheus_port" >"$folder/prometheus.log" 2>&1 &
prometheus=$!
pids+=("$prometheus")
for ((waited = 0; waited < 60; waited++)); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$prometheus_port/-/ready" && break
    kill -0 "$prometheus" 2>/dev/null || { cat "$folder/prometheus.log" >&2; exit 1; }
    sleep 1
done

cat "$folder/dev.log"
cat <<T

Look at:
  metrics       http://127.0.0.1:$prometheus_port/graph      for example: histogram_quantile(0.99, sum by (le, http_route) (rate(http_server_request_duration_seconds_bucket[1m])))
  alerts        http://127.0.0.1:$prometheus_port/alerts     kill a node by its pid above, and wait a minute
  status page   http://127.0.0.1:6288/status     user admin, password admin
  traces        tail -f $folder/traces.log     every request; each span with its trace, parent and attributes
  dashboards    observability/dashboards/*.json, for a Grafana of your own
T
wait "$cluster"
