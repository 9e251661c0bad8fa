#!/bin/sh
# build.sh DIRECTORY: builds helm, kubectl, promtool and a checker of dashboards into DIRECTORY, from the versions that
# go.mod pins, and puts beside them the definitions of the Prometheus operator's kinds. Says what it does, and does
# nothing when what is there was made from the same files.
set -eu

case $1 in
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
cd -- "$(dirname -- "$0")"

built_from() {
    cat go.mod go.sum build.sh kubectl/main.go dashboard/main.go | cksum
}

if [ -f "$out/built-from" ] && [ "$(cat "$out/built-from")" = "$(built_from)" ]; then
    exit 0
fi
begun=$(date +%s)
version() {
    go list -m -f '{{.Version}}' "$1"
}
helm=$(version helm.sh/helm/v3)
kubernetes=$(version k8s.io/client-go)
prometheus=$(version github.com/prometheus/prometheus)
echo "building helm $helm, kubectl $kubernetes and promtool $prometheus, once: this takes about five minutes on two" \
    'cores' >&2
mkdir -p "$out"
rm -f "$out/built-from"

# Helm takes what it does not ask a cluster from here: k8s.io/client-go v0.36.1 is of Kubernetes 1.36.
minor=${kubernetes#v0.}
minor=${minor%%.*}
flags="-s -w -X helm.sh/helm/v3/internal/version.version=$helm"
for package in pkg/chartutil pkg/lint/rules; do
    flags="$flags -X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=$minor"
done
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
# Without the clients of two dozen clouds, by which Prometheus finds what to scrape: promtool reads rules here.
go build -tags remove_all_sd -o "$out/" -ldflags "$flags" \
    helm.sh/helm/v3/cmd/helm ./kubectl ./dashboard github.com/prometheus/prometheus/cmd/promtool
# No code of it is built, so nothing else fetches it.
go mod download github.com/prometheus-operator/prometheus-operator
operator=$(go list -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)
for kind in podmonitors prometheusrules; do
    install -m 0644 "$operator/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" "$out/"
done

built_from >"$out/built-from"
echo "built in $(($(date +%s) - begun)) s" >&2
