#!/bin/sh
# run.sh smoke|long TIME SIDE_BY_SIDE [TARGET]: runs the targets of fuzz/, or one of them, each for that time (30s, 20m,
# 2h), that many at once. A smoke run begins with the committed corpus alone; a long one goes on where the last long one
# ended, and keeps what it finds in the cache directory that FUZZ_CACHE names.
#
# What breaks a property is kept in fuzz/artifacts/TARGET, with the log beside it.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(cd -- "$here/../.." && pwd)

fail() {
    printf '%s\n' "run.sh: $*" >&2
    exit 1
}

# Called by itself, in an environment of its own making: one target, and one line of figures.
one() {
    target=$1
    log=$FUZZ_LOGS/$target.log
    artifacts=$root/fuzz/artifacts/$target
    mkdir -p "$FUZZ_GROWN/$target" "$FUZZ_WORK/$target" "$artifacts"
    status=0
    # Longer inputs reach nothing that shorter ones do not.
    case $target in
    durations) longest=256 ;;
    volume_writer) longest=1024 ;;
    flags | mount_table) longest=4096 ;;
    *) longest=16384 ;;
    esac
    # The limits in time and memory are properties too: no input may cost more. On a machine that is busy with other
    # things a second is not much; FUZZ_PATIENCE says how many an input may take there.
    TMPDIR=$FUZZ_WORK/$target "$FUZZ_PROGRAMS/$target" -max_total_time="$FUZZ_SECONDS" -max_len=$longest -timeout="${FUZZ_PATIENCE:-60}" \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$artifacts/" \
        "$FUZZ_GROWN/$target" "$root/fuzz/corpus/$target" >"$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    corpus=$(sed -n 's/.* corp: \([0-9]*\)\/\([^ ]*\) .*/\1 inputs, \2/p' "$log" | tail -n 1)
    result=ok
    if [ "$status" != 0 ]; then
        result=FAILED
        cp "$log" "$artifacts/log"
    else
        rmdir "$artifacts" 2>/dev/null || true
    fi
    printf '%-16s %12s executions %8s/s   corpus %-22s %s\n' "$target" "${executions:-?}" "${speed:-?}" \
        "${corpus:-?}" "$result"
    [ "$status" = 0 ] || tail -n 30 "$log" | sed 's/^/    /'
}

if [ "$1" = one ]; then
    one "$2"
    exit 0
fi

kind=$1
time=$2
side_by_side=$3
only=${4:-}

case $time in
*h) FUZZ_SECONDS=$((${time%h} * 3600)) ;;
*m) FUZZ_SECONDS=$((${time%m} * 60)) ;;
*s) FUZZ_SECONDS=${time%s} ;;
*) fail "TIME=$time is none of 30s, 20m and 2h" ;;
esac
targets=$(for file in "$root"/fuzz/fuzz_targets/*.rs; do basename -- "$file" .rs; done)
if [ -n "$only" ]; then
    [ -e "$root/fuzz/fuzz_targets/$only.rs" ] || fail "no target $only, only: $(echo "$targets" | tr '\n' ' ')"
    targets=$only
fi

FUZZ_PROGRAMS=$("$here/build.sh" fuzz)
# In memory: the volume writer makes and removes some thousand files a second.
FUZZ_WORK=$(mktemp -d /dev/shm/fuzz.XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf -- "$FUZZ_WORK"' EXIT
trap 'exit 1' INT TERM
case $kind in
smoke) FUZZ_GROWN=$FUZZ_WORK/grown ;;
long) FUZZ_GROWN=${FUZZ_CACHE:?}/corpus ;;
*) fail "unknown kind of run: $kind" ;;
esac
FUZZ_LOGS=${FUZZ_LOGS:-$FUZZ_WORK/logs}
mkdir -p "$FUZZ_LOGS"
export FUZZ_SECONDS FUZZ_PROGRAMS FUZZ_WORK FUZZ_GROWN FUZZ_LOGS

figures=$FUZZ_WORK/figures
printf '%s\n' "$targets" | xargs -n 1 -P "$side_by_side" "$0" one | tee "$figures"
passed=$(grep -c ' ok$' "$figures" || true)
failed=$(grep -c ' FAILED$' "$figures" || true)
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" = "$(printf '%s\n' "$targets" | wc -l)" ]
