#!/usr/bin/env bash
# Installs, upgrades, rolls back and uninstalls the chart by real Helms on a real Kubernetes API server with RBAC on, and
# runs what its Jobs run with their own service account's token and Role. No controller and no kubelet runs: the Jobs'
# commands are taken from the API and started here.
#   scripts/kube/test.sh ROWHOUSE
set -euo pipefail

rowhouse=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart_source=$here/../../helm/rowhouse
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages etcd-server jq openssl curl
apiserver=$(bash "$here/apiserver.sh")
tools=${ROWHOUSE_HELM_TOOLS:-$HOME/.cache/rowhouse/helm}
bash "$here/../helm/tools.sh" "$tools"
export PATH="$tools/helm-4:$PATH"

work=$(mktemp -d)
pids=()
end() {
  kill "${pids[@]}" 2>/dev/null || true
  wait "${pids[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT
began=$SECONDS
told() { echo "kube-test: $* ($((SECONDS - began)) s)"; }
fail() {
  echo "kube-test: $*" >&2
  exit 1
}

# ---- a Kubernetes API ----

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
client=$(free_port) peer=$(free_port) port=$(free_port)
etcd --data-dir "$work/etcd" --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
  --listen-peer-urls "http://127.0.0.1:$peer" >"$work/etcd.log" 2>&1 &
pids+=($!)
openssl genrsa -out "$work/account.key" 2048 2>/dev/null
# A CA, and a certificate for the address: what the API server makes for itself is no CA to anybody.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=kube-test CA" -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=kubernetes" -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
  -extfile <(echo "subjectAltName=IP:127.0.0.1") -out "$work/server.crt" 2>/dev/null
echo 'admin-token,admin,admin,"system:masters"' >"$work/tokens.csv"
"$apiserver" --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 --secure-port "$port" \
  --tls-cert-file "$work/server.crt" --tls-private-key-file "$work/server.key" --token-auth-file "$work/tokens.csv" \
  --service-account-issuer https://kube-test --service-account-key-file "$work/account.key" \
  --service-account-signing-key-file "$work/account.key" --authorization-mode RBAC --service-cluster-ip-range 10.0.0.0/24 \
  --endpoint-reconciler-type none --disable-admission-plugins ServiceAccount >"$work/apiserver.log" 2>&1 &
pids+=($!)
export KUBECONFIG=$work/kubeconfig
kubectl config set-cluster test --server "https://127.0.0.1:$port" --certificate-authority "$work/ca.crt" --embed-certs >/dev/null
kubectl config set-credentials admin --token admin-token >/dev/null
kubectl config set-context test --cluster test --user admin >/dev/null
kubectl config use-context test >/dev/null
for _ in $(seq 300); do
  [[ "$(kubectl get --raw /readyz 2>/dev/null)" != ok ]] || break
  sleep 0.2
done
[[ "$(kubectl get --raw /readyz)" == ok ]] || fail "the API server is not ready: $(tail -n 5 "$work/apiserver.log")"
told "the API server is ready: $(kubectl version -o json 2>/dev/null | jq -r .serverVersion.gitVersion)"

# ---- the chart, for so old an API ----

# This server is older than what the chart asks for: budgets and CronJobs have other versions there, and nothing else.
cp -r "$chart_source" "$work/chart"
sed -i '/^kubeVersion:/d' "$work/chart/Chart.yaml"
grep -rl 'kind: PodDisruptionBudget' "$work/chart/templates" | xargs sed -i 's#policy/v1$#policy/v1beta1#'
grep -rl 'kind: CronJob' "$work/chart/templates" | xargs sed -i 's#^apiVersion: batch/v1$#apiVersion: batch/v1beta1#'
values=(--set-json 'gateways.preStopSleepSeconds=0')

# ---- what its Jobs run ----

# run_jobs NAMESPACE: each container of the release's Jobs that write Secrets, at the same time, as in their pod.
run_jobs() {
  local namespace=$1 account args runs=()
  account=$work/account-$namespace
  mkdir -p "$account"
  cp "$work/ca.crt" "$account/ca.crt"
  kubectl create token rowhouse-keys --namespace "$namespace" >"$account/token"
  while read -r args; do
    mapfile -t command < <(jq -r '.[]' <<<"$args")
    env KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$port" \
      "$rowhouse" "${command[@]}" --service-account "$account" </dev/null &
    runs+=($!)
  done < <(kubectl get jobs --namespace "$namespace" -o json | jq -c '.items[].spec.template.spec
    | select(.serviceAccountName == "rowhouse-keys") | .containers[].args')
  [[ ${#runs[@]} -eq 2 ]] || fail "the release has no Job with two containers that write Secrets"
  for run in "${runs[@]}"; do wait "$run" || fail "a Job's command failed"; done
}

secret() { kubectl get secret "$2" --namespace "$1" -o json; }
version() { secret "$1" "$2" | jq -r .metadata.resourceVersion; }
keys() { secret "$1" "$2" | jq -r '.data | keys | join(" ")'; }

test_with() {
  local helm=$1 namespace=$2
  # Fields that this server does not know are dropped by it, so that no schema of its own may be asked first.
  local flags=("${values[@]}" --disable-openapi-validation "${@:3}")
  kubectl create namespace "$namespace" >/dev/null
  "$helm" install rowhouse "$work/chart" --namespace "$namespace" "${flags[@]}" >"$work/notes"
  told "$helm: installed"
  run_jobs "$namespace"
  [[ "$(keys "$namespace" rowhouse-homeserver)" == homeserver.secret ]] || fail "the key is missing"
  [[ "$(secret "$namespace" rowhouse-homeserver | jq -r '.data["homeserver.secret"]' | base64 -d)" =~ ^[0-9a-f]{64}$ ]] ||
    fail "the key is malformed"
  keys "$namespace" rowhouse-tls-node | grep -q 'rowhouse-node-2.key.*rowhouse-node-2.pem' || fail "a node has no certificate"
  ! keys "$namespace" rowhouse-tls-node | grep -q ca.key || fail "pods see the CA's key"
  local homeserver node
  homeserver=$(version "$namespace" rowhouse-homeserver) node=$(version "$namespace" rowhouse-tls-node)
  run_jobs "$namespace"
  [[ "$(version "$namespace" rowhouse-homeserver) $(version "$namespace" rowhouse-tls-node)" == "$homeserver $node" ]] ||
    fail "a second run changed something"
  told "$helm: Jobs made all Secrets, and changed nothing the second time"

  # By their Role the Jobs cannot change what must never change, nor see what is not theirs.
  local can="kubectl auth can-i --namespace $namespace --as system:serviceaccount:$namespace:rowhouse-keys"
  [[ "$($can update secret/rowhouse-homeserver || true)" == no ]] || fail "a Job may change the homeserver's key"
  [[ "$($can update secret/rowhouse-tls-node || true)" == yes ]] || fail "a Job may not renew certificates"
  [[ "$($can get secret/another || true)" == no ]] || fail "a Job may read Secrets of others"
  [[ "$($can list secrets || true)" == no ]] || fail "a Job may list Secrets"
  [[ "$($can delete secret/rowhouse-homeserver || true)" == no ]] || fail "a Job may delete the homeserver's key"

  "$helm" upgrade rowhouse "$work/chart" --namespace "$namespace" "${flags[@]}" --set nodes.replicas=5 >/dev/null
  run_jobs "$namespace"
  keys "$namespace" rowhouse-tls-node | grep -q rowhouse-node-4.key || fail "a new node has no certificate"
  "$helm" rollback rowhouse 1 --namespace "$namespace" >/dev/null
  run_jobs "$namespace"
  told "$helm: upgraded to five nodes and rolled back"
  "$helm" uninstall rowhouse --namespace "$namespace" >/dev/null
  [[ "$(version "$namespace" rowhouse-homeserver)" == "$homeserver" ]] || fail "the homeserver's key did not survive"
  [[ -z "$(kubectl get statefulsets,deployments,jobs --namespace "$namespace" -o name)" ]] || fail "something is left"
  "$helm" install rowhouse "$work/chart" --namespace "$namespace" "${flags[@]}" >/dev/null
  run_jobs "$namespace"
  [[ "$(version "$namespace" rowhouse-homeserver)" == "$homeserver" ]] || fail "the homeserver's key did not survive"
  told "$helm: uninstalled and installed again, with the same key"
}

test_with "$tools/helm-3/helm" helm3
test_with "$tools/helm-4/helm" helm4 --server-side=false

# The program says what is missing when the Role is.
kubectl create namespace bare >/dev/null
kubectl create serviceaccount keys --namespace bare >/dev/null
mkdir "$work/bare"
cp "$work/ca.crt" "$work/bare/ca.crt"
kubectl create token keys --namespace bare >"$work/bare/token"
if said=$("$rowhouse" kubernetes secrets --namespace bare --api-server "https://127.0.0.1:$port" --service-account "$work/bare" \
  --homeserver-secret homeserver 2>&1); then fail "it got a Secret without a Role"; fi
grep -q 'Role must allow' <<<"$said" || fail "it does not say what is missing: $said"
told "everything held"
