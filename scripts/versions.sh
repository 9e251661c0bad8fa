#!/bin/sh
# versions.sh [ROOT]: checks that one version stands in all the files that name it: Cargo.toml's is the version of the
# chart, of the program in it, of the bundle, and the tag of both images wherever we deploy them or write of them. Says
# every place that differs.
set -eu

root=${1:-$(dirname -- "$0")/..}
image=localhost/secrets-store-csi-driver
operator_image=localhost/secrets-store-csi-operator
cd -- "$root"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
status=0

complain() {
    printf '%s\n' "$*" >&2
    status=1
}

# expect WHERE FOUND WANTED
expect() {
    [ "$2" = "$3" ] || complain "$1 is '$2' and not '$3', the version of Cargo.toml"
}

# value FILE KEY: that of a key without indentation, without its quotes.
value() {
    sed -n "s/^$2:[[:space:]]*[\"']\{0,1\}\([^\"'#[:space:]]*\).*/\1/p" "$1"
}

# tags IMAGE FILE: what follows the image's name and a colon, once for each.
tags() {
    grep -o "$1:[[:alnum:]_.-]*" "$2" | sed 's/.*://' | sort -u
}

[ -n "$version" ] || complain 'Cargo.toml has no version'

chart=deploy/charts/secrets-store-csi-driver
if [ -f "$chart/Chart.yaml" ] && [ -f "$chart/values.yaml" ]; then
    expect "$chart/Chart.yaml: version" "$(value "$chart/Chart.yaml" version)" "$version"
    expect "$chart/Chart.yaml: appVersion" "$(value "$chart/Chart.yaml" appVersion)" "$version"
    # The tag that stands with the image's name, in the block with the same indentation; an empty one is appVersion's.
    tag=$(awk -v image="$image" '
        { match($0, /^ */); indent = RLENGTH; key = $1; found = $2; gsub(/["\047]/, "", found) }
        indent < block { block = 0 }
        key == "repository:" && found == image { block = indent }
        block && indent == block && key == "tag:" { print found }
    ' "$chart/values.yaml")
    grep -q "repository: *[\"']\{0,1\}${image}[\"']\{0,1\}\$" "$chart/values.yaml" ||
        complain "$chart/values.yaml has no image $image"
    expect "$chart/values.yaml: the tag of $image" "${tag:-v$version}" "v$version"
else
    complain "$chart: Chart.yaml or values.yaml is missing"
fi

bundle=deploy/operator/bundle/manifests/secrets-store-csi-driver-operator.clusterserviceversion.yaml
if [ -f "$bundle" ]; then
    # The only keys of two spaces that say so.
    expect "$bundle: version" "$(value "$bundle" '  version')" "$version"
    skipped=$(sed -n 's/^ *olm.skipRange: "<\(.*\)"$/\1/p' "$bundle")
    expect "$bundle: olm.skipRange" "$skipped" "$version"
    expect "$bundle: name" "$(value "$bundle" '  name')" "secrets-store-csi-driver-operator.v$version"
else
    complain "$bundle is missing"
fi

# deploys FILE IMAGE
deploys() {
    if [ ! -f "$1" ]; then
        complain "$1 is missing"
    elif [ -z "$(tags "$2" "$1")" ]; then
        complain "$1 has no image $2"
    fi
}
deploys deploy/secrets-store-csi-driver.yaml "$image"
for file in deploy/operator/program/deployment.yaml "$bundle"; do
    deploys "$file" "$image"
    deploys "$file" "$operator_image"
done
for file in README.md CONTRIBUTING.md $(find deploy docs -name '*.yaml' ! -path "$chart/templates/*" -o -name '*.md' | sort); do
    for each in "$image" "$operator_image"; do
        for tag in $(tags "$each" "$file"); do
            expect "$file: the tag of $each" "$tag" "v$version"
        done
    done
done

# Either it is being worked on, or it is released.
grep -q -e '^## Not released$' -e "^## $version\( \|\$\)" CHANGELOG.md ||
    complain "CHANGELOG.md has neither '## Not released' nor '## $version'"

exit "$status"
