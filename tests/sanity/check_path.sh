#!/usr/bin/env bash
# Says what lies at a target path, for csi-sanity's -csi.checkpathcmd. The suite names a volume's directory
# `target`; behind the front of the test controller it is called `mount`, as kubelet calls it.
set -euo pipefail

path="${1%/target}/mount"
if [[ -L $path ]]; then
    echo other
elif [[ -d $path ]]; then
    echo directory
elif [[ -f $path ]]; then
    echo file
elif [[ -e $path ]]; then
    echo other
else
    echo not_found
fi
