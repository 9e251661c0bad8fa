#!/bin/sh
# check.sh CHECKER BUNDLE: does the checker see a bundle that is not right? Copies the bundle, breaks one thing at a
# time, and fails when the checker accepts the copy all the same.
set -eu

checker=$1
bundle=$2
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
csv=manifests/secrets-store-csi-driver-operator.clusterserviceversion.yaml
status=0

# refuses NAME FILE SED-SCRIPT
refuses() {
    rm -rf -- "$work/bundle"
    cp -R -- "$bundle" "$work/bundle"
    sed -i.before "$3" "$work/bundle/$2"
    if cmp -s "$work/bundle/$2" "$work/bundle/$2.before"; then
        echo "$1: this did not change $2" >&2
        status=1
        return
    fi
    rm -- "$work/bundle/$2.before"
    if "$checker" "$work/bundle" >"$work/said" 2>&1; then
        echo "$1: the checker of bundles does not see it" >&2
        status=1
    fi
}

refuses 'no version' "$csv" '/^  version:/d'
refuses 'a name with another version' "$csv" 's/\(name: secrets-store-csi-driver-operator\).v.*/\1/'
refuses 'no install mode that is supported' "$csv" 's/supported: true/supported: false/'
refuses 'a kind that is not in the bundle' "$csv" 's/^\( *\)kind: SecretProviderClassPodStatus/\1kind: Other/'
refuses 'a field that there is not' "$csv" 's/^  installModes:/  installMods:/'
refuses 'no example' "$csv" 's/alm-examples:/examples:/'
refuses 'another mediatype' metadata/annotations.yaml 's/registry+v1/helm/'
refuses 'a default channel of its own' metadata/annotations.yaml 's/\(channel.default.v1: \)stable/\1fast/'
refuses 'a definition that is none' manifests/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml 's/^  scope:.*//'
exit "$status"
