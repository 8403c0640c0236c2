#!/usr/bin/env bash
# Builds the Dockerfile with buildah, which needs no engine, as an archive. As root.
#   scripts/image/build.sh ARCHIVE
# BUILD_PROFILE   release (the default) or dev
# PROGRAMS        a folder with `rowhouse` and `rowhouse-chaos` that are built already: the build stage is left out
# BASES           registry: as the Dockerfile names them; local: made here from Debian packages and this machine's Rust;
#                 auto (the default): local if the registry cannot be reached
# IMAGE           name and tag (rowhouse:VERSION)
# SOURCE_DATE_EPOCH   the time of everything in the image (that of the last commit)
set -euo pipefail

archive=$(realpath -m "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
# shellcheck source=../packages.sh
source "$here/../packages.sh"
[[ "$(id -u)" -eq 0 ]] || { echo "image: buildah changes roots here: run it as root" >&2; exit 69; }
need_packages buildah

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$checkout/Cargo.toml")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$checkout" log -1 --format=%ct)}
revision=$(git -C "$checkout" rev-parse HEAD)
image=${IMAGE:-rowhouse:$version}
profile=${BUILD_PROFILE:-release}
bases=${BASES:-auto}
[[ "$profile" == release || "$profile" == dev ]] || { echo "image: BUILD_PROFILE is release or dev" >&2; exit 64; }

# Everything of buildah's in a folder of its own, which goes when we do.
work=$(mktemp -d "${TMPDIR:-/tmp}/rowhouse-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
runtime=$(sed -n 's/^ARG RUNTIME_IMAGE=//p' "$checkout/Dockerfile")
arguments=(--build-arg "BUILD_PROFILE=$profile" --build-arg "VERSION=$version" --build-arg "REVISION=$revision")

# commit NAME FOLDER [ENV=VALUE]...: a root as an image, for a FROM.
commit() {
  local name=$1 folder=$2 container variable
  shift 2
  container=$("${buildah[@]}" from scratch)
  "${buildah[@]}" add --quiet "$container" "$folder" / >/dev/null
  for variable in "$@"; do "${buildah[@]}" config --env "$variable" "$container"; done
  "${buildah[@]}" commit --quiet --timestamp "$SOURCE_DATE_EPOCH" "$container" "$name" >/dev/null
  "${buildah[@]}" rm "$container" >/dev/null
  rm -rf "$folder"
}

if [[ "$bases" == auto ]]; then
  bases=registry
  "${buildah[@]}" pull --quiet "$runtime" >/dev/null 2>&1 || bases=local
fi
if [[ "$bases" == local ]]; then
  echo "image: the registry cannot be reached: bases are made here" >&2
  bash "$here/runtime-root.sh" "$work/runtime"
  commit localhost/runtime "$work/runtime" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
  arguments+=(--build-arg RUNTIME_IMAGE=localhost/runtime)
fi
if [[ -n "${PROGRAMS:-}" ]]; then
  mkdir -p "$work/programs/out/programs" "$work/programs/out/data"
  cp "$PROGRAMS/rowhouse" "$PROGRAMS/rowhouse-chaos" "$work/programs/out/programs/"
  # In place of the stage of this name.
  arguments+=(--build-context "build=$work/programs")
elif [[ "$bases" == local ]]; then
  bash "$here/rust-root.sh" "$work/rust"
  commit localhost/rust "$work/rust" PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/usr/local/cargo
  arguments+=(--build-arg RUST_IMAGE=localhost/rust)
fi

"${buildah[@]}" build --quiet --isolation chroot --format oci --identity-label=false --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" \
  --file "$checkout/Dockerfile" --ignorefile "$checkout/.dockerignore" --tag "$image" "$checkout" >/dev/null
mkdir -p "$(dirname "$archive")"
rm -f "$archive"
"${buildah[@]}" push --quiet "$image" "oci-archive:$archive:$image"
digest=$(tar -xOf "$archive" index.json | grep -o 'sha256:[0-9a-f]*')
echo "$image: $digest, $(($(stat -c %s "$archive") / 1000000)) MB as an archive: $archive"
