#!/usr/bin/env bash
# Runs csi-sanity against a driver that is already listening.
#
#   run.sh CSI_SANITY CONTROLLER DRIVER_SOCKET
#
#   CSI_SANITY     the suite, built here from the pinned module:
#                  go build -o <cache>/csi-sanity github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity
#   CONTROLLER     the test double of ./controller, built with go build -o <cache>/sanity-controller ./controller
#   DRIVER_SOCKET  the CSI socket of the driver under test
#
# Environment, to agree with what the driver and its API server were started with:
#   SANITY_PODS_DIR   kubelet's pods directory as the driver sees it (default: a temporary one)
#   SANITY_POD_UID, SANITY_POD, SANITY_NAMESPACE, SANITY_SERVICE_ACCOUNT   the pod that the volumes belong to
#   SANITY_CLASS      the SecretProviderClass that the volumes name
#
# Two passes:
#   direct     the suite talks to the driver as it is; exceptions.txt names what is left out, and why.
#   read-only  the Node specs once more, through the controller double, which turns each request into the one
#              that kubelet sends for an inline volume. This is where volumes are published, measured and removed.
# Each pass must have a minimum of passed specs: the suite skips what a driver does not advertise, so a
# capability lost by mistake would otherwise look like success.
set -euo pipefail

readonly DIRECT_PASSED_MIN=13   # 3 of Identity, 10 of Node
readonly READ_ONLY_PASSED_MIN=14 # 14 of Node: the 10 above and 4 that publish
readonly SOCKET_DEADLINE_SECONDS=20
readonly SUITE_TIMEOUT=10m

if (($# != 3)); then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 64
fi
suite=$(realpath -- "$1")
controller=$(realpath -- "$2")
driver_socket=$(realpath -- "$3")
here=$(dirname -- "$(realpath -- "$0")")

# Short, because a unix socket's path has at most 107 bytes.
scratch=$(mktemp -d /tmp/sanity.XXXXXX)
controller_pid=
clean_up() {
    if [[ -n $controller_pid ]]; then
        kill "$controller_pid" 2>/dev/null || true
        wait "$controller_pid" 2>/dev/null || true
    fi
    # A volume that the driver failed to take down must not be emptied from here.
    rm -rf --one-file-system -- "$scratch" || true
}
trap clean_up EXIT

pods_dir=${SANITY_PODS_DIR:-$scratch/pods}
pod_uid=${SANITY_POD_UID:-5a217000-0000-4000-8000-000000000001}
# The suite makes and removes the last directory itself, around every spec. It fails where one is left behind.
volume_dir=$pods_dir/$pod_uid/volumes/kubernetes.io~csi/sanity
staging_dir=$scratch/staging
mkdir -p -- "$(dirname -- "$volume_dir")"

cat >"$scratch/parameters.yaml" <<PARAMETERS
secretProviderClass: "${SANITY_CLASS:-sanity}"
csi.storage.k8s.io/pod.name: "${SANITY_POD:-sanity}"
csi.storage.k8s.io/pod.namespace: "${SANITY_NAMESPACE:-default}"
csi.storage.k8s.io/pod.uid: "$pod_uid"
csi.storage.k8s.io/serviceAccount.name: "${SANITY_SERVICE_ACCOUNT:-default}"
csi.storage.k8s.io/ephemeral: "true"
PARAMETERS

# Reads exceptions.txt into `skips`, saying each reason; a line that matches no spec is stale and an error.
skips=()
read_exceptions() {
    local line spec
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ -z $line || $line == \#* ]]; then
            continue
        fi
        spec=${line%% | *}
        if [[ $spec == "$line" || -z ${line#* | } ]]; then
            echo "exceptions.txt: no reason given in: $line" >&2
            exit 1
        fi
        if ! "$suite" -csi.endpoint "$driver_socket" -ginkgo.dry-run -ginkgo.fail-on-empty -ginkgo.no-color \
            -ginkgo.focus "$spec" >"$scratch/dry-run.log" 2>&1; then
            echo "exceptions.txt: matches no spec, or is no regular expression: $spec" >&2
            exit 1
        fi
        printf 'left out: %s\n          because %s\n' "$spec" "${line#* | }"
        skips+=("-ginkgo.skip=$spec")
    done <"$here/exceptions.txt"
}

# run_pass NAME MINIMUM ARGUMENT...: one run of the suite, and the check that it really tested something.
run_pass() {
    local name=$1 minimum=$2 log=$scratch/$1.log passed
    shift 2
    printf '\n=== %s pass ===\n' "$name"
    "$suite" -csi.mountdir "$volume_dir" -csi.stagingdir "$staging_dir" \
        -csi.testvolumeparameters "$scratch/parameters.yaml" \
        -ginkgo.no-color -ginkgo.timeout "$SUITE_TIMEOUT" "$@" 2>&1 | tee "$log"
    passed=$(sed -n 's/.* \([0-9][0-9]*\) Passed.*/\1/p' "$log")
    if ((${passed:-0} < minimum)); then
        echo "$name pass: ${passed:-0} specs passed, $minimum expected; is a capability no longer advertised?" >&2
        exit 1
    fi
}

start_controller() {
    "$controller" --endpoint "$scratch/c.sock" --driver "$driver_socket" --front "$scratch/f.sock" &
    controller_pid=$!
    local deadline=$((SECONDS + SOCKET_DEADLINE_SECONDS))
    until [[ -S $scratch/c.sock && -S $scratch/f.sock ]]; do
        if ! kill -0 "$controller_pid" 2>/dev/null || ((SECONDS >= deadline)); then
            echo "the controller double did not start" >&2
            exit 1
        fi
        sleep 0.05
    done
}

read_exceptions
run_pass direct "$DIRECT_PASSED_MIN" -csi.endpoint "$driver_socket" "${skips[@]}"
start_controller
run_pass read-only "$READ_ONLY_PASSED_MIN" -csi.endpoint "$scratch/f.sock" \
    -csi.controllerendpoint "$scratch/c.sock" -csi.checkpathcmd "$here/check_path.sh" \
    -ginkgo.focus 'Node Service'
