# shellcheck shell=bash
# Sourced by scripts that need Debian packages: installs the missing ones as root, and says what to install otherwise.

# need_packages NAME...
need_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if ! command -v apt-get >/dev/null || [[ "$(id -u)" -ne 0 ]]; then
    echo "missing: ${missing[*]} (on Debian: sudo apt-get install ${missing[*]})" >&2
    exit 69
  fi
  echo "installing ${missing[*]}" >&2
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}
