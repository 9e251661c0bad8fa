#!/bin/sh
# build.sh DIRECTORY: builds etcd, kube-apiserver, kube-controller-manager and kube-scheduler into DIRECTORY, from the
# versions that go.mod pins. Says what it does, and does nothing when the programs there were built from the same go.mod
# and go.sum.
set -eu

case $1 in
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
cd -- "$(dirname -- "$0")"

built_from() {
    cat go.mod go.sum build.sh | cksum
}

if [ -f "$out/built-from" ] && [ "$(cat "$out/built-from")" = "$(built_from)" ]; then
    exit 0
fi
begun=$(date +%s)
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
etcd=$(go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)
echo "building etcd $etcd and Kubernetes $kubernetes, once: this takes about five minutes on two cores" >&2
mkdir -p "$out"
rm -f "$out/built-from"

# The version is not cosmetic: the API server decides by it which APIs and features it has.
number=${kubernetes#v}
minor=${number#*.}
version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=$kubernetes"
flags="$flags -X $version.gitMajor=${number%%.*} -X $version.gitMinor=${minor%%.*}"
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
commands=k8s.io/kubernetes/cmd
go build -o "$out/" -ldflags "$flags" $commands/kube-apiserver $commands/kube-controller-manager $commands/kube-scheduler
go build -o "$out/etcd" -ldflags '-s -w' go.etcd.io/etcd/server/v3

built_from >"$out/built-from"
echo "built in $(($(date +%s) - begun)) s" >&2
