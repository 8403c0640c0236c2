#!/usr/bin/env bash
# The README's two commands in a new Debian root with nothing but Rust, a C++ compiler, git and make; prints the times.
# As root, with debootstrap. Takes what apt, cargo and TLS need to reach their registries from this machine, at run time.
#   scripts/clean-root.sh [folder]   (a new one; it is kept)
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${1:-$(mktemp -d)/root}
suite=bookworm
# How long `make dev` may take until the cluster stands.
READY_MINUTES_MAX=60

[[ "$(id -u)" -eq 0 ]] || { echo "clean-root: it mounts and changes roots: run it as root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "clean-root: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }

# In a mount namespace of its own: nothing of this machine is mounted elsewhere, or stays mounted.
[[ -n "${CLEAN_ROOT_INSIDE:-}" ]] ||
  CLEAN_ROOT_INSIDE=1 exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" "$root"

mapfile -t reach < <(env | grep -iE '^(https?_proxy|no_proxy|ssl_cert_file|ssl_cert_dir|cargo_(http|net|registries|source)[^=]*)=' || true)
inside() {
  env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/rust/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    CARGO_HOME=/root/.cargo "${reach[@]}" chroot "$root" "$@"
}

if [[ ! -e "$root/etc/debian_version" ]]; then
  mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
  debootstrap --variant=minbase --include=ca-certificates,g++,git,make,procps "$suite" "$root" "$mirror" >"$root.log" 2>&1
fi
if [[ ! -e "$root/root/rowhouse" ]]; then
  mkdir -p "$root/root/.cargo" "$root/rust/toolchain"
  grep -lrs Acquire /etc/apt/apt.conf.d | xargs -r cp -t "$root/etc/apt/apt.conf.d"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  for file in "${CARGO_HOME:-$HOME/.cargo}"/config*; do
    [[ ! -f "$file" ]] || cp "$file" "$root/root/.cargo/"
  done
  git clone -q "$checkout" "$root/root/rowhouse"
fi
mount --bind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$(rustc --print sysroot)" "$root/rust/toolchain"
mount -o remount,bind,ro "$root/rust/toolchain"

in_clone() { inside bash -c "cd /root/rowhouse && $1"; }

began=$SECONDS
# A job of its own group, which Ctrl-C would reach.
set -m
in_clone 'exec make dev ARGS=--ephemeral' >"$root.dev.log" 2>&1 &
dev=$!
trap 'kill -TERM -- "-$dev" 2>/dev/null || true' EXIT
until grep -q 'Ctrl-C' "$root.dev.log"; do
  kill -0 "$dev" 2>/dev/null || { tail -n 30 "$root.dev.log" >&2; echo "clean-root: make dev ended" >&2; exit 1; }
  ((SECONDS - began < READY_MINUTES_MAX * 60)) || { echo "clean-root: make dev was not ready in time" >&2; exit 1; }
  sleep 1
done
echo "make dev: ready after $((SECONDS - began)) s"
kill -INT -- "-$dev"
set +m
wait "$dev" || true
trap - EXIT

began=$SECONDS
in_clone 'make test' >"$root.test.log" 2>&1 || {
  grep -aE 'FAILED|panicked' "$root.test.log" >&2
  echo "clean-root: make test failed: $root.test.log" >&2
  exit 1
}
echo "make test: passed after $((SECONDS - began)) s"
