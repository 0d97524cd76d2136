# shellcheck shell=bash
# Sourced by tests that are scripts: runs a program, and checks what it says.
#
#   fail TEXT...             says what is wrong and ends the test; shows what the program had said
#   skip TEXT                ends the test as skipped (77); with EDDY_TEST_REQUIRE_ALL in the environment, as failed
#   program NAME             $program: the sample of that name, or the test is skipped
#   start ARGUMENT...        starts $program in the background; $pid. Its output goes to the files out and err; what the
#                            program wrote before in pages.jsonl is removed
#   finish                   waits for it; $status
#   run ARGUMENT...          both
#   expect_status N          and others: see below
#   expect_in FILE REGEX     a line of the file matches (extended regular expression)
#   wait_for_line FILE REGEX until there is such a line, at most a minute
#
# The test runs in a directory of its own, which is removed in the end, as is everything that was started.
set -uo pipefail
set -m # without job control the shell makes its background programs ignore SIGINT

samples=${EDDY_SAMPLES:-${1:?usage: $0 FOLDER-OF-THE-SAMPLES}}
samples=$(cd "$samples" && pwd)
workdir=$(mktemp -d "${TMPDIR:-/tmp}/eddy-test-XXXXXX")
cd "$workdir" || exit 1
started=()

clean_up() {
    local p
    for p in "${started[@]}"; do kill -KILL "$p" 2>/dev/null; done
    wait 2>/dev/null
    cd / && rm -rf "$workdir"
}
trap clean_up EXIT

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    local f
    for f in out err; do
        if [ -s "$f" ]; then
            printf -- '--- its std%s ends with:\n' "$f" >&2
            tail -n 40 "$f" >&2
        fi
    done
    exit 1
}

skip() {
    [ -z "${EDDY_TEST_REQUIRE_ALL:-}" ] || fail "left out: $* (EDDY_TEST_REQUIRE_ALL is set)"
    printf 'skipped: %s\n' "$*"
    exit 77
}

program() {
    program=$samples/$1
    [ -x "$program" ] || skip "the sample $1 was not built"
}

start() {
    rm -f pages.jsonl out err # the shell empties them later than here, and what was in them would be taken for an answer
    "$program" "$@" >out 2>err </dev/null &
    pid=$!
    started+=("$pid")
}

finish() {
    wait "$pid" 2>/dev/null
    status=$?
}

run() {
    start "$@"
    finish
}

expect_status() {
    [ "$status" = "$1" ] || fail "exit status $status, expected $1"
}

expect_in() {
    grep -qE -- "$2" "$1" || fail "no line of '$1' matches: $2"
}

expect_not_in() {
    if grep -qE -- "$2" "$1"; then fail "a line of '$1' matches: $2"; fi
}

wait_for_line() {
    local i
    for ((i = 0; i < 1200; ++i)); do # a minute
        if grep -qE -- "$2" "$1" 2>/dev/null; then return; fi
        sleep 0.05
    done
    fail "waited in vain for a line in '$1': $2"
}

now_ms() { printf '%s' "$(($(date +%s%N) / 1000000))"; }

# expect_within MILLISECONDS SINCE
expect_within() {
    local took=$(($(now_ms) - $2))
    [ "$took" -le "$1" ] || fail "took $took ms, expected at most $1 ms"
}

# Every line is an object of JSON, in valid UTF-8, and the last one is complete.
expect_json_lines() {
    [ -s "$1" ] || fail "'$1' is empty"
    [ "$(tail -c 1 "$1" | od -An -c | tr -d ' ')" = '\n' ] || fail "the last line of '$1' is not complete"
    iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || fail "'$1' is not valid UTF-8"
    if grep -nvE '^\{"url":".*\}$' "$1"; then fail "these lines of '$1' are no objects"; fi
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys
for line in open(sys.argv[1], encoding="utf-8"): json.loads(line)' "$1" || fail "'$1' is no JSON"
    fi
}

# The table's first line says N pages, and the output has N lines.
expect_as_many_lines_as_pages() {
    local pages lines
    pages=$(sed -nE 's/^([0-9]+) pages in [0-9]+\.[0-9] s$/\1/p' "$2")
    [ -n "$pages" ] || fail "there is no line 'N pages in S s' in '$2'"
    lines=$(wc -l <"$1")
    [ "$pages" = "$lines" ] || fail "$pages pages, but $lines lines in '$1'"
}
