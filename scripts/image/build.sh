#!/bin/sh
# build.sh PROGRAM STATIC OUT: makes an image of a static program in STATIC/{x86_64,aarch64}, the driver or the operator,
# for both architectures, as the archive OUT in the OCI layout, which every engine and registry tool reads. With
# ARCHITECTURES, for those of them alone, whose layers are the same: for tests on this machine.
#
# The same programs, version and commit give the same bytes: the layer is a plain tar (what a compressor writes depends
# on its version), times are the commit's, and nothing of this machine is in it. IMAGE_NAME, BUILD_VERSION,
# GIT_COMMIT and COMMIT_TIME (seconds since 1970) come from the caller.
set -eu
# The archive has the modes of its files.
umask 022

program=$1
static=$2
out=$3
: "${IMAGE_NAME:?}" "${BUILD_VERSION:?}" "${COMMIT_TIME:?}"
commit=${GIT_COMMIT-}
case $program in
secrets-store-csi-driver)
    # As root of the container, since it mounts.
    user=0:0
    description='Mounts secrets from external stores into pods as in-memory volumes and keeps them fresh'
    ;;
secrets-store-csi-operator)
    # As nobody in particular: it only talks to the API server.
    user=65532:65532
    description='Installs the Secrets Store CSI Driver in a cluster and keeps it as it should be'
    ;;
*)
    echo "build.sh: no image is made of $program" >&2
    exit 64
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
layout=$work/layout
mkdir -p "$layout/blobs/sha256"
created=$(date -u -d "@$COMMIT_TIME" +%Y-%m-%dT%H:%M:%SZ)
oci=application/vnd.oci.image

# archive TAR DIRECTORY NAME...: a tar that says nothing of who made it, where and when. Two blocks of zeros end it, as
# an image builder writes it, instead of the ten kilobytes of a tape.
archive() {
    tar_file=$1
    directory=$2
    shift 2
    tar --create --file "$tar_file" --directory "$directory" --format=ustar --blocking-factor=1 --sort=name \
        --owner=0 --group=0 --numeric-owner --mtime="@$COMMIT_TIME" -- "$@"
}

# with_kind TAR: writes into the first header of a tar that it is a regular file's mode. Image builders keep the kind of
# file there, tar does not, and with it the layer is the one that the Dockerfile gives.
with_kind() {
    sum=$(dd if="$1" bs=1 skip=148 count=6 status=none)
    printf '01' | dd of="$1" bs=1 seek=100 conv=notrunc status=none
    # One digit of the header is one more.
    printf '%06o' $((0$sum + 1)) | dd of="$1" bs=1 seek=148 conv=notrunc status=none
}

# keep FILE: moves a file to where its digest says, and leaves digest and size of it in those variables.
keep() {
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    size=$(stat -c %s "$1")
    mv -- "$1" "$layout/blobs/sha256/$digest"
}

# descriptor TYPE: what refers to the file that was kept last; the caller closes the brace.
descriptor() {
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%s' "$1" "$digest" "$size"
}

labels() {
    printf '"org.opencontainers.image.title":"%s",' "$program"
    printf '"org.opencontainers.image.description":"%s",' "$description"
    printf '"org.opencontainers.image.licenses":"Apache-2.0",'
    printf '"org.opencontainers.image.version":"%s",' "$BUILD_VERSION"
    printf '"org.opencontainers.image.revision":"%s",' "$commit"
    printf '"org.opencontainers.image.created":"%s"' "$created"
}

# manifest ARCH OCI-ARCH: keeps layer, configuration and manifest of one architecture, and prints its descriptor.
manifest() {
    root=$work/root-$1
    mkdir -p "$root"
    # Nobody writes it, root included.
    install -m 0555 "$static/$1/$program" "$root/$program"
    archive "$work/layer" "$root" "$program"
    with_kind "$work/layer"
    keep "$work/layer"
    layer=$(descriptor "$oci.layer.v1.tar")
    {
        printf '{"created":"%s","architecture":"%s","os":"linux",' "$created" "$2"
        printf '"config":{"User":"%s","Entrypoint":["/%s"],"WorkingDir":"/","Labels":{' "$user" "$program"
        labels
        printf '}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},' "$digest"
        printf '"history":[{"created":"%s","created_by":"COPY %s /"}]}' "$created" "$program"
    } >"$work/config"
    keep "$work/config"
    config=$(descriptor "$oci.config.v1+json")
    {
        printf '{"schemaVersion":2,"mediaType":"%s","config":%s},' "$oci.manifest.v1+json" "$config"
        printf '"layers":[%s}],"annotations":{' "$layer"
        labels
        printf '}}'
    } >"$work/manifest"
    keep "$work/manifest"
    descriptor "$oci.manifest.v1+json"
    printf ',"platform":{"architecture":"%s","os":"linux"}}' "$2"
}

{
    printf '{"schemaVersion":2,"mediaType":"%s","manifests":[' "$oci.index.v1+json"
    comma=
    for architecture in ${ARCHITECTURES:-x86_64 aarch64}; do
        printf '%s' "$comma"
        case $architecture in
        x86_64) manifest x86_64 amd64 ;;
        aarch64) manifest aarch64 arm64 ;;
        *) echo "build.sh: no image is made for $architecture" >&2; exit 64 ;;
        esac
        comma=,
    done
    printf '],"annotations":{'
    labels
    printf '}}'
} >"$work/index"
keep "$work/index"
# Two names for the name: containerd's own, and the one of the specification, which others read.
{
    printf '{"schemaVersion":2,"mediaType":"%s","manifests":[' "$oci.index.v1+json"
    descriptor "$oci.index.v1+json"
    printf ',"annotations":{"io.containerd.image.name":"%s:%s",' "$IMAGE_NAME" "$BUILD_VERSION"
    printf '"org.opencontainers.image.ref.name":"%s"}}]}' "$BUILD_VERSION"
} >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
archive "$work/archive" "$layout" blobs index.json oci-layout
mkdir -p -- "$(dirname -- "$out")"
mv -- "$work/archive" "$out"
printf '%s:%s sha256:%s\n' "$IMAGE_NAME" "$BUILD_VERSION" "$digest"
