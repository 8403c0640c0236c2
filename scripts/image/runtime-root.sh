#!/usr/bin/env bash
# A root like that of gcr.io/distroless/cc-debian12, from packages of Debian: for machines that reach no registry.
#   scripts/image/runtime-root.sh FOLDER   (a new one; as root)
set -euo pipefail

root=$1
epoch=${SOURCE_DATE_EPOCH:?}
packages=(base-files ca-certificates libc6 libgcc-s1 libstdc++6 netbase tzdata)

fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
(cd "$fetched" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}")
mkdir -p "$root"
for package in "$fetched"/*.deb; do
  dpkg-deb --extract "$package" "$root"
done
# What their scripts would do, as far as programs see it.
find "$root/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root"/usr/share/{doc,man,lintian,ca-certificates,base-files,common-licenses,info}
printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
install -d -m 0700 -o 65532 -g 65532 "$root/home/nonroot"
install -d -m 1777 "$root/tmp"
find "$root" -newermt "@$epoch" -exec touch --no-dereference --date "@$epoch" {} +
