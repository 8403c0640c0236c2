#!/usr/bin/env bash
# Everything that can be said of the chart without a Kubernetes: lint, both Helms over many values, the schemas of several
# Kubernetes, our own assertions, a policy scan. The first argument is the program, if it is built: then it reads each
# rendered settings file.
set -euo pipefail
cd "$(dirname "$0")/../.."
export ROWHOUSE_HELM_TOOLS=${ROWHOUSE_HELM_TOOLS:-$HOME/.cache/rowhouse/helm}
# Nothing is left behind in the checkout.
export PYTHONDONTWRITEBYTECODE=1
export ROWHOUSE_BIN=${1:-}
began=$SECONDS
step() { echo "helm-test: $* ($((SECONDS - began)) s)"; }

bash scripts/helm/tools.sh "$ROWHOUSE_HELM_TOOLS"
python=$ROWHOUSE_HELM_TOOLS/python/bin

step "what is copied and generated is up to date"
"$python/python" scripts/helm/sync.py --check

for helm in helm-3 helm-4; do
	for values in "" helm/rowhouse/values-*.yaml; do
		step "lint with $helm, ${values:-its own values}"
		"$ROWHOUSE_HELM_TOOLS/$helm/helm" lint --strict --quiet helm/rowhouse ${values:+-f "$values"}
	done
done

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
export ROWHOUSE_HELM_RENDERED=$rendered
step "assertions over what is rendered"
if [[ -n $ROWHOUSE_BIN ]]; then
	echo "helm-test: settings and command lines are read by $ROWHOUSE_BIN, which must be as new as the chart"
else
	echo "helm-test: no program is built: settings are compared with docs/configuration.md, command lines with nothing"
fi
"$python/python" -m pytest -p no:cacheprovider -q --tb=short helm/tests

step "policy scan"
"$python/checkov" --config-file helm/tests/checkov.yaml --directory "$rendered"
step "done"
