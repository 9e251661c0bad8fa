#!/bin/sh
# kubectl for the commands of docs/: the real one, except for what needs a node with containers. There are none here, so
# three commands are played, after the real kubectl has found what they name:
#
#   exec POD -- COMMAND           runs COMMAND on this machine, in a mount namespace that has the pod's volumes where the
#                                 pod mounts them, with the variables that the played kubelet has resolved
#   exec daemonset/… -- /secrets-store-csi-driver COMMAND
#                                 runs the real program, beside the driver that runs
#   logs daemonset/…              shows the log of the driver that runs
#   port-forward …                waits to be ended; the port is open already
#
# PLAYED is the directory in which the runner keeps what this needs; REAL_KUBECTL is the real program.
set -eu

for word in "$@"; do
    case $word in
    exec | logs | port-forward)
        verb=$word
        break
        ;;
    # The value of a flag that stands before the verb.
    -n | --namespace | kube-system | -*) ;;
    *) exec "$REAL_KUBECTL" "$@" ;;
    esac
done
if [ -z "${verb:-}" ]; then
    exec "$REAL_KUBECTL" "$@"
fi

namespace=$(cat "$PLAYED/namespace")
target='' container='' lines=all
while [ $# -gt 0 ]; do
    case $1 in
    -n | --namespace)
        namespace=$2
        shift
        ;;
    --namespace=*) namespace=${1#*=} ;;
    -c | --container)
        container=$2
        shift
        ;;
    --tail=*) lines=${1#*=} ;;
    --)
        shift
        break
        ;;
    exec | logs | port-forward) ;;
    -*)
        echo "kubectl of the documents' runner: $verb does not play $1" >&2
        exit 64
        ;;
    *)
        if [ -z "$target" ]; then
            target=$1
        fi
        ;;
    esac
    shift
done
case $target in
*/*) ;;
*) target=pod/$target ;;
esac
"$REAL_KUBECTL" get -n "$namespace" "$target" >/dev/null
if [ -n "$container" ]; then
    template=.spec.template.spec.containers
    "$REAL_KUBECTL" get -n "$namespace" "$target" -o "jsonpath={${template}[*].name}" | grep -qw -- "$container" || {
        echo "error: container $container is not valid for $target" >&2
        exit 1
    }
fi

case $verb:$target in
logs:daemonset/* | logs:ds/*)
    if [ "$lines" = all ]; then
        exec cat "$PLAYED/driver.log"
    fi
    exec tail -n "$lines" "$PLAYED/driver.log"
    ;;
port-forward:*) exec sleep 600 ;;
exec:daemonset/* | exec:ds/*)
    [ "$1" = /secrets-store-csi-driver ] || {
        echo "exec: \"$1\": executable file not found" >&2
        exit 127
    }
    shift
    if [ "$1" = doctor ]; then
        # In the pod there is one driver to be found; here there may be others.
        set -- "$@" "--pid=$(cat "$PLAYED/driver.pid")"
    fi
    exec "$PLAYED/secrets-store-csi-driver" "$@"
    ;;
exec:pod/*)
    container_files=$PLAYED/containers/$namespace/${target#pod/}
    uid=$("$REAL_KUBECTL" get -n "$namespace" "$target" -o 'jsonpath={.metadata.uid}')
    # The runner writes it down a moment after the pod has begun to run.
    patience=100
    until [ "$(cat "$container_files/uid" 2>/dev/null)" = "$uid" ]; do
        patience=$((patience - 1))
        if [ "$patience" = 0 ]; then
            echo "error: $target does not run" >&2
            exit 1
        fi
        sleep 0.1
    done
    # shellcheck disable=SC2016 # for the inner shell
    exec unshare --mount --propagation private -- sh -euc '
        files=$1
        shift
        mount -t tmpfs none /mnt
        while IFS="	" read -r volume path; do
            mkdir -p -- "$path"
            mount --bind -- "$volume" "$path"
        done <"$files/mounts"
        set -a
        . "$files/variables"
        exec "$@"
    ' sh "$container_files" "$@"
    ;;
esac
echo "kubectl of the documents' runner: $verb is not played for $target" >&2
exit 64
