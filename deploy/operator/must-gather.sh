#!/bin/sh
# must-gather.sh [--namespace NAME] [--output DIRECTORY] [--since TIME] [--kubectl PROGRAM]: writes down what explains
# how it stands with the operator and the driver, for somebody who cannot look at the cluster.
#
#   --namespace NAME     where the operator is; if not given it is looked for
#   --output DIRECTORY   where the files go; must-gather if not given, and it must not exist yet
#   --since TIME         only logs younger than that, as in 2h
#   --kubectl PROGRAM    instead of kubectl: oc, say
#
# What it reads: the operator's namespace (workloads, events, leases, access, logs of the pods now and before their last
# restart), the objects of the driver's kinds in all namespaces, ClusterCSIDriver, CSIDriver, CSINodes and nodes, and
# the cluster roles of the driver. It never asks for a Secret. Of ConfigMaps it takes names and no content. Classes say
# where secrets are and not what they are, unless somebody has written one into a class.
#
# What cannot be read is in errors.txt, and the rest is there all the same. Ends with 1 when there is nothing at all.
set -eu
umask 077

namespace=
output=must-gather
since=
kubectl=kubectl

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 64
}

while [ $# -gt 0 ]; do
    case $1 in
    --namespace | --output | --since | --kubectl)
        [ $# -ge 2 ] || usage
        case $1 in
        --namespace) namespace=$2 ;;
        --output) output=$2 ;;
        --since) since=$2 ;;
        --kubectl) kubectl=$2 ;;
        esac
        shift 2
        ;;
    *) usage ;;
    esac
done

if [ -e "$output" ]; then
    echo "$output is there already: name another directory with --output" >&2
    exit 1
fi
mkdir -p -- "$output"
errors=$output/errors.txt
: >"$errors"
count=0

# keep FILE ARGUMENT...: what kubectl prints, in that file; nothing is kept of what fails but why.
keep() {
    file=$output/$1
    shift
    mkdir -p -- "${file%/*}"
    if "$kubectl" "$@" >"$file" 2>"$output/said"; then
        count=$((count + 1))
    else
        rm -f -- "$file"
        printf '%s: %s\n' "$*" "$(cat "$output/said")" >>"$errors"
    fi
    rm -f -- "$output/said"
}

# named KIND NAME...: objects outside namespaces.
named() {
    kind=$1
    shift
    for name in "$@"; do
        keep "cluster/$kind/$name.yaml" get "$kind" "$name" --output=yaml
    done
}

if [ -z "$namespace" ]; then
    found=$("$kubectl" get deployments.apps --all-namespaces --selector=app=secrets-store-csi-driver-operator \
        --output='jsonpath={.items[0].metadata.namespace}' 2>>"$errors") || found=
    namespace=${found:-secrets-store-csi-driver}
fi

keep version.json get --raw=/version
named namespaces "$namespace"
named clusterroles secretproviderclasses-role secrets-store-csi-driver-operator
named clusterrolebindings secretproviderclasses-rolebinding secrets-store-csi-driver-operator
named customresourcedefinitions.apiextensions.k8s.io clustercsidrivers.operator.openshift.io \
    secretproviderclasses.secrets-store.csi.x-k8s.io secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io
# There on OpenShift alone.
if [ -n "$("$kubectl" api-resources --api-group=security.openshift.io --output=name 2>>"$errors")" ]; then
    named clusterroles secrets-store-privileged-role
    named clusterrolebindings secrets-store-node-privileged-binding
fi
for kind in clustercsidrivers.operator.openshift.io csidrivers.storage.k8s.io csinodes.storage.k8s.io nodes; do
    keep "cluster/$kind.yaml" get "$kind" --output=yaml
done
for kind in secretproviderclasses secretproviderclasspodstatuses; do
    keep "cluster/$kind.yaml" get "$kind.secrets-store.csi.x-k8s.io" --all-namespaces --output=yaml
done
for kind in pods daemonsets.apps deployments.apps replicasets.apps controllerrevisions.apps serviceaccounts \
    networkpolicies.networking.k8s.io leases.coordination.k8s.io roles.rbac.authorization.k8s.io \
    rolebindings.rbac.authorization.k8s.io; do
    keep "namespace/$kind.yaml" get "$kind" --namespace="$namespace" --output=yaml
done
keep namespace/configmaps.txt get configmaps --namespace="$namespace" --output=name
keep namespace/events.txt get events --namespace="$namespace" --sort-by=.metadata.creationTimestamp --output=wide

names='{range .items[*]}{range .spec.containers[*]}{.name}{" "}{end}{.metadata.name}{"\n"}{end}'
"$kubectl" get pods --namespace="$namespace" --output="jsonpath=$names" >"$output/pods" 2>>"$errors" || true
while read -r line; do
    pod=${line##* }
    for container in ${line% *}; do
        set -- --namespace="$namespace" --container="$container" --timestamps ${since:+"--since=$since"}
        keep "logs/$pod/$container.log" logs "$pod" "$@"
        # Most containers have no life before this one, which is no error worth reading about.
        count_path="{.status.containerStatuses[?(@.name==\"$container\")].restartCount}"
        restarts=$("$kubectl" get pod "$pod" --namespace="$namespace" --output="jsonpath=$count_path" 2>>"$errors") ||
            restarts=0
        if [ "${restarts:-0}" != 0 ]; then
            keep "logs/$pod/$container.previous.log" logs "$pod" "$@" --previous
        fi
    done
done <"$output/pods"
rm -f -- "$output/pods"

failed=$(wc -l <"$errors")
if [ "$count" = 0 ]; then
    echo "nothing could be read; $errors says why" >&2
    exit 1
fi
echo "$count files are in $output; $failed lines of what could not be read are in $errors"
