#!/usr/bin/env bash
# Do the hot paths take more instructions than they did? Counts those of fixed work with callgrind, which does not depend on how
# busy the machine is, and compares them with instructions.txt.
#
#   tests/bench/guard.sh [PROGRAM]            fails (1) if one takes over 5 % more than its baseline
#   tests/bench/guard.sh --update [PROGRAM]   writes instructions.txt anew
#
# PROGRAM is bench_guard of preset release; without it that is built. Each work is done with n units and with 2n: the difference
# has nothing of the program's start. Another compiler, other flags, no valgrind: skipped (77). What gets cheaper by over 5 % is
# told, so that --update keeps it. Offloading is not here: its threads spin for as long as it takes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
baseline=$here/instructions.txt
allowed=5 # per cent
units=4000

die() { echo "guard.sh: $*" >&2; exit 1; }
skip() { echo "guard.sh: skipped: $*" >&2; exit 77; }

update=no program=
while [ $# -gt 0 ]; do
    case $1 in
        --update) update=yes ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) die "cannot read '$1'; usage: guard.sh [--update] [PROGRAM]" ;;
        *) program=$1 ;;
    esac
    shift
done
command -v valgrind >/dev/null || { [ -z "${EDDY_TEST_REQUIRE_ALL:-}" ] || die "there is no valgrind (EDDY_TEST_REQUIRE_ALL is set)"; skip "there is no valgrind (Debian package valgrind)"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$program" ]; then
    program=$top/build/release/tests/bench/bench_guard
    (cd "$top" && cmake --preset release -DEDDY_BUILD_BENCH=ON && cmake --build --preset release --target bench_guard) >"$work/build.log" 2>&1 ||
        { tail -30 "$work/build.log" >&2; die "the build failed"; }
fi
[ -x "$program" ] || die "there is no program '$program'"
built=$("$program" --built)
if [ $update = no ]; then
    [ -e "$baseline" ] || die "there is no $baseline; make one with --update"
    of=$(sed -n 's/^# built: //p' "$baseline")
    [ "$built" = "$of" ] || skip "the baseline is of '$of', this is '$built'"
fi

# count WORK UNITS: instructions of the whole program
count() {
    env -u EDDY_DEBUG -u EDDY_ENGINE -u EDDY_SHUFFLE_SEED -u LD_PRELOAD \
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; die "$1 $2 failed under valgrind"; }
    awk '/Collected *:/ { n = $NF } END { if (!n) exit 1; print n }' "$work/log" || { cat "$work/log" >&2; die "callgrind gave no count"; }
}

printf '%-10s %12s %12s %8s\n' work instructions baseline change
{
    echo "# Instructions a unit of work, written by tests/bench/guard.sh --update; what each work is says guard.cpp."
    echo "# built: $built"
} >"$work/new"
worse=() better=()
for name in $("$program" --works); do
    once=$(count "$name" "$units")
    twice=$(count "$name" $((2 * units)))
    now=$(awk -v a="$once" -v b="$twice" -v n="$units" 'BEGIN { printf "%.1f", (b - a) / n }')
    echo "$name $now" >>"$work/new"
    before=$(awk -v k="$name" '$1 == k { print $2 }' "$baseline" 2>/dev/null || true)
    if [ -z "$before" ]; then
        [ $update = yes ] || worse+=("$name has no baseline")
        printf '%-10s %12s %12s\n' "$name" "$now" -
        continue
    fi
    change=$(awk -v a="$now" -v b="$before" 'BEGIN { printf "%+.1f", (a / b - 1) * 100 }')
    printf '%-10s %12s %12s %7s%%\n' "$name" "$now" "$before" "$change"
    case $(awk -v c="$change" -v most="$allowed" 'BEGIN { print (c > most ? "worse" : c < -most ? "better" : "") }') in
        worse) worse+=("$name takes $change %") ;;
        better) better+=("$name") ;;
    esac
done
if [ $update = yes ]; then
    cp "$work/new" "$baseline"
    echo "guard.sh: wrote $baseline"
    exit 0
fi
[ ${#better[@]} = 0 ] || echo "guard.sh: cheaper than the baseline, keep it with --update: ${better[*]}"
[ ${#worse[@]} = 0 ] || { printf 'guard.sh: more instructions than the baseline allows: %s\n' "${worse[@]}" >&2; exit 1; }
