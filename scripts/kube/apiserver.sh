#!/usr/bin/env bash
# Builds a real kube-apiserver from the source package of Debian bookworm, once, and prints its path. About eight minutes
# of CPU time and 1.5 GB while it is built; 110 MB are kept. No package or download has the program itself.
#   scripts/kube/apiserver.sh [folder]   (the default is ~/.cache/rowhouse/kube)
set -euo pipefail

folder=${1:-$HOME/.cache/rowhouse/kube}
version='1.20.5+really1.20.2-1.1+deb12u1'
program="$folder/kube-apiserver"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[[ ! -x "$program" ]] || { echo "$program"; exit 0; }
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages golang-1.19-go rsync jq dpkg-dev

mkdir -p "$folder/apt/lists/partial" "$folder/apt/sources" "$folder/source"
exec 9>"$folder/lock"
flock 9
[[ ! -x "$program" ]] || { echo "$program"; exit 0; }

# Lists of its own: the machine's sources stay as they are.
mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "${mirror:-http://deb.debian.org/debian}" \
  >"$folder/apt/sources/kubernetes.list"
apt_options=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/apt/sources"
  -o "Dir::State::lists=$folder/apt/lists" -o APT::Sandbox::User=root)
apt-get "${apt_options[@]}" update -qq >&2
(cd "$folder" && apt-get "${apt_options[@]}" source -qq --download-only "kubernetes=$version" >&2)
tar xzf "$folder"/kubernetes_*.orig.tar.gz -C "$folder/source" --strip-components=1

cd "$folder/source"
export GOPATH="$PWD/.go" GOCACHE="$PWD/.go/cache" CGO_ENABLED=0 GOPROXY=off GOFLAGS=-mod=vendor PATH="/usr/lib/go-1.19/bin:$PATH"
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
nice -n 19 ionice -c 3 make WHAT=cmd/kube-apiserver >"$folder/build.log" 2>&1 || {
  tail -n 30 "$folder/build.log" >&2
  echo "kube-apiserver could not be built: $folder/build.log" >&2
  exit 1
}
mv _output/bin/kube-apiserver "$program.new"
mv "$program.new" "$program"
chmod -R u+w "$folder/source"
rm -rf "$folder/source" "$folder"/kubernetes_* "$folder/apt"
echo "$program"
