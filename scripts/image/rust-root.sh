#!/usr/bin/env bash
# A root like that of docker.io/library/rust, from packages of Debian and this machine's Rust: for machines that reach no
# registry of images. Takes what apt and cargo need to reach their own registries from this machine.
#   scripts/image/rust-root.sh FOLDER   (a new one; as root)
set -euo pipefail

root=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages debootstrap

mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
debootstrap --variant=minbase --include=ca-certificates,g++,git,make bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log" >&2; exit 1; }
cp -a "$(rustc --print sysroot)" "$root/usr/local/rust"
rm -rf "$root/usr/local/rust/share/doc"
mkdir -p "$root/usr/local/cargo"
for file in "${CARGO_HOME:-$HOME/.cargo}"/config*; do
  [[ ! -f "$file" ]] || cp "$file" "$root/usr/local/cargo/"
done
# Crates that are here already: the build need not fetch them again.
if [[ -d "${CARGO_HOME:-$HOME/.cargo}/registry/cache" ]]; then
  mkdir -p "$root/usr/local/cargo/registry"
  cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{cache,index} "$root/usr/local/cargo/registry/"
fi
grep -lrs Acquire /etc/apt/apt.conf.d | xargs -r cp -t "$root/etc/apt/apt.conf.d"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
