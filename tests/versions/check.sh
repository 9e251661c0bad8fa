#!/bin/sh
# Does scripts/versions.sh see a version that somebody forgot? Copies the files that it reads, changes one at a time, and
# fails when the script accepts the copy all the same, or refuses the unchanged one.
set -eu

root=$(cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
chart=deploy/charts/secrets-store-csi-driver
manifest=deploy/secrets-store-csi-driver.yaml
operator=deploy/operator/program/deployment.yaml
bundle=deploy/operator/bundle/manifests/secrets-store-csi-driver-operator.clusterserviceversion.yaml
status=0

fresh() {
    rm -rf -- "$work/tree"
    mkdir "$work/tree"
    cp -R "$root/Cargo.toml" "$root/CHANGELOG.md" "$root/README.md" "$root/CONTRIBUTING.md" "$root/deploy" "$root/docs" "$work/tree"
}

accepts() {
    "$root/scripts/versions.sh" "$work/tree" >"$work/said" 2>&1
}

# refuses NAME FILE SED-SCRIPT
refuses() {
    fresh
    sed -i.before "$3" "$work/tree/$2"
    if cmp -s "$work/tree/$2" "$work/tree/$2.before"; then
        echo "$1: this did not change $2" >&2
        status=1
    elif accepts; then
        echo "$1: scripts/versions.sh does not see it" >&2
        status=1
    fi
}

fresh
accepts || {
    cat "$work/said" >&2
    exit 1
}
refuses 'another version of the crate' Cargo.toml 's/^version = .*/version = "99.0.0"/'
refuses 'another version of the chart' "$chart/Chart.yaml" 's/^version:.*/version: 99.0.0/'
refuses 'another version of the program' "$chart/Chart.yaml" 's/^appVersion:.*/appVersion: 99.0.0/'
refuses 'another tag in the chart' "$chart/values.yaml" '/csi-driver$/,/tag:/s/tag: .*/tag: v99.0.0/'
refuses 'another tag in a document' docs/releasing.md '1s|$| localhost/secrets-store-csi-driver:v99.0.0|'
refuses 'another image in the chart' "$chart/values.yaml" 's|localhost/secrets-store-csi-driver|other/driver|'
refuses 'another tag in the manifest' "$manifest" 's|\(localhost/secrets-store-csi-driver\):.*|\1:v99.0.0|'
refuses 'another image in the manifest' "$manifest" 's|localhost/secrets-store-csi-driver:|other/driver:|'
refuses 'another tag of the operator' "$operator" 's|\(localhost/secrets-store-csi-operator\):.*|\1:v99.0.0|'
refuses 'another tag of what it installs' "$operator" 's|\(localhost/secrets-store-csi-driver\):.*|\1:v99.0.0|'
refuses 'another image of what it installs' "$operator" 's|localhost/secrets-store-csi-driver:|other/driver:|'
refuses 'another version of the bundle' "$bundle" 's/^  version: .*/  version: 99.0.0/'
refuses 'another version that the bundle may follow' "$bundle" 's/^\( *olm.skipRange: \).*/\1"<99.0.0"/'
refuses 'another name of the bundle' "$bundle" 's/^  name: .*/  name: secrets-store-csi-driver-operator.v99.0.0/'
refuses 'another tag in the bundle' "$bundle" 's|\(- *image: localhost/secrets-store-csi-operator\):.*|\1:v99.0.0|
    s|containerImage: \(localhost/secrets-store-csi-operator\):.*|containerImage: \1:v99.0.0|'
refuses 'a release that nobody wrote down' CHANGELOG.md 's/^## .*/## 0.0.1/'
for file in "$chart/Chart.yaml" "$chart/values.yaml" "$manifest" "$operator" "$bundle"; do
    fresh
    rm -- "$work/tree/$file"
    if accepts; then
        echo "scripts/versions.sh does not miss $file" >&2
        status=1
    fi
done
exit "$status"
