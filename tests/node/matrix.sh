#!/bin/sh
# matrix.sh DOCUMENT KUBERNETES...: runs all cases under the kubelet of each version, and writes into the table of the
# document, between its two marks, a row for each version under which all held: with the date, the commit and the
# version of the control groups that this machine has. Ends badly when a version has no row.
set -eu

document=$1
shift
begin='<!-- kubelets: written by make node-matrix -->'
end='<!-- kubelets: end -->'
for mark in "$begin" "$end"; do
    if ! grep -qxF "$mark" "$document"; then
        echo "$document has no place for the kubelets: the line '$mark' is missing" >&2
        exit 64
    fi
done
commit=$(git describe --always --dirty --abbrev=12 --exclude='*')
case $(stat --file-system --format=%T /sys/fs/cgroup) in
cgroup2fs) groups=2 ;;
*) groups=1 ;;
esac
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
status=0
{
    echo "$begin"
    echo '| kubelet | what held | control groups | date | commit |'
    echo '|---|---|---|---|---|'
} >"$work/table"
for kubernetes in "$@"; do
    echo "=== kubelet $kubernetes ==="
    # What make says it tells at once; what the cases say is needed afterwards too.
    { make --no-print-directory node "KUBERNETES=$kubernetes" CASE= 2>&1 || echo failed >"$work/failed"; } |
        tee "$work/told"
    held=$(sed -n 's/^\([0-9]*\) held and 0 failed, in .*/\1/p' "$work/told" | tail -n 1)
    if [ -e "$work/failed" ] || [ -z "$held" ]; then
        rm -f "$work/failed"
        status=1
        continue
    fi
    date=$(date -u +%Y-%m-%d)
    echo "| $kubernetes | all of $held cases | version $groups | $date | \`$commit\` |" >>"$work/table"
done
echo "$end" >>"$work/table"
# What is between the marks, and they, become the table.
sed -e "/^$begin\$/,/^$end\$/{ /^$end\$/r $work/table" -e 'd; }' "$document" >"$work/document"
cat "$work/document" >"$document"
exit "$status"
