#!/bin/sh
# build.sh DIRECTORY [--with-upstream] KUBERNETES...: builds into DIRECTORY what a node needs beside the control plane:
# containerd, its shim and its client, runc, a provider in Go, and kubelet in each of the versions, as
# kubelet-KUBERNETES; and if asked for, the upstream driver, with its manifests; from the versions that the modules
# beside this file pin. Says what it does, and does nothing for what was built from the same files already.
set -eu

case $1 in
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
shift
cd -- "$(dirname -- "$0")"
# What compiles a version of Kubernetes that the control plane does not have is of no use to anybody afterwards, and
# takes a gigabyte.
scratch=
trap '[ -z "$scratch" ] || rm -rf -- "$scratch"' EXIT
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
mkdir -p "$out"

# is_built NAME MODULE FILE...: whether NAME was built from those files of the module; else forgets that it was.
is_built() {
    name=$1
    module=$2
    shift 2
    built_from=$(cd "$module" && cat go.mod go.sum "$@" | cksum)
    if [ -f "$out/$name.built-from" ] && [ "$(cat "$out/$name.built-from")" = "$built_from" ]; then
        return 0
    fi
    rm -f -- "$out/$name.built-from"
    begun=$(date +%s)
    return 1
}

# built NAME: remembers that it was.
built() {
    printf '%s' "$built_from" >"$out/$1.built-from"
    echo "built in $(($(date +%s) - begun)) s" >&2
}

if ! is_built containerd containerd; then
    commands=github.com/containerd/containerd/v2/cmd
    version=$(cd containerd && go list -m -f '{{.Version}}' github.com/containerd/containerd/v2)
    echo "building containerd $version, once: this takes about two minutes on two cores" >&2
    (cd containerd && go build -o "$out/" -ldflags '-s -w' \
        $commands/containerd $commands/containerd-shim-runc-v2 $commands/ctr)
    built containerd
fi

if ! is_built runc runc; then
    version=$(cd runc && go list -m -f '{{.Version}}' github.com/opencontainers/runc)
    echo "building runc $version, once" >&2
    # A part of it is C, and runs before Go does.
    (cd runc && CGO_ENABLED=1 go build -tags seccomp -o "$out/" -ldflags '-s -w' github.com/opencontainers/runc)
    built runc
fi

if ! is_built provider provider main.go; then
    echo 'building the provider' >&2
    (cd provider && go build -o "$out/node-provider" -ldflags '-s -w' .)
    built provider
fi

if [ "${1-}" = --with-upstream ]; then
    shift
    if ! is_built upstream upstream registrar/main.go mlog/mlog.go; then
        upstream=sigs.k8s.io/secrets-store-csi-driver
        version=$(cd upstream && go list -m -f '{{.Version}}' $upstream)
        echo "building the upstream driver $version, once: this takes about two minutes on two cores" >&2
        (
            cd upstream
            go build -o "$out/upstream-driver" -ldflags '-s -w' $upstream/cmd/secrets-store-csi-driver
            go build -o "$out/upstream-registrar" -ldflags '-s -w' ./registrar
            rm -rf -- "$out/upstream-manifests"
            cp -R -- "$(go list -m -f '{{.Dir}}' $upstream)/deploy" "$out/upstream-manifests"
            chmod -R u+w "$out/upstream-manifests"
        )
        built upstream
    fi
fi

for kubernetes in "$@"; do
    if ! [ -f "kubelet/$kubernetes/go.mod" ]; then
        echo "KUBERNETES=$kubernetes is none of $(cd kubelet && echo *)" >&2
        exit 64
    fi
    if is_built "kubelet-$kubernetes" "kubelet/$kubernetes"; then
        continue
    fi
    echo "building the kubelet of Kubernetes $kubernetes, once: this takes about five minutes on two cores" >&2
    if ! grep -q "k8s.io/kubernetes v$kubernetes " ../e2e/cluster/go.mod; then
        scratch=$(mktemp -d)
        export GOCACHE="$scratch"
    fi
    # Kubelet says by it which version it is, and has the features of that version.
    minor=${kubernetes#*.}
    version=k8s.io/component-base/version
    flags="-s -w -X $version.gitVersion=v$kubernetes"
    flags="$flags -X $version.gitMajor=${kubernetes%%.*} -X $version.gitMinor=${minor%%.*}"
    (cd "kubelet/$kubernetes" && go build -o "$out/kubelet-$kubernetes" -ldflags "$flags" k8s.io/kubernetes/cmd/kubelet)
    built "kubelet-$kubernetes"
    if [ -n "$scratch" ]; then
        rm -rf -- "$scratch"
        scratch=
        unset GOCACHE
    fi
done
