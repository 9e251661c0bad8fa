#!/bin/sh
# versions.sh [ROOT]: checks that one version stands in all the files that name it: Cargo.toml's is the version of the
# chart, of the program in it, and the tag of the driver's image wherever we deploy it or write of it. Says every place
# that differs.
set -eu

root=${1:-$(dirname -- "$0")/..}
image=localhost/secrets-store-csi-driver
cd -- "$root"

version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
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

# tags FILE: what follows the image's name and a colon, once for each.
tags() {
    grep -o "$image:[[:alnum:]_.-]*" "$1" | sed 's/.*://' | sort -u
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

manifest=deploy/secrets-store-csi-driver.yaml
if [ ! -f "$manifest" ]; then
    complain "$manifest is missing"
elif [ -z "$(tags "$manifest")" ]; then
    complain "$manifest has no image $image"
fi
for file in README.md $(find deploy docs -name '*.yaml' ! -path "$chart/templates/*" -o -name '*.md' | sort); do
    for tag in $(tags "$file"); do
        expect "$file: the tag of $image" "$tag" "v$version"
    done
done

# Either it is being worked on, or it is released.
grep -q -e '^## Not released$' -e "^## $version\( \|\$\)" CHANGELOG.md ||
    complain "CHANGELOG.md has neither '## Not released' nor '## $version'"

exit "$status"
