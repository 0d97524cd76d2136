#!/usr/bin/env bash
# User-space instructions of a message of 64 bytes, of our echo server and its peers: prints a table of docs/benchmarks.md.
#
# Each server runs under callgrind twice, for a short time and a longer one: the difference has nothing of its start. Needs Debian's valgrind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/build/bench/tests/bench
case ${1:-} in -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
[ -x "$bin/bench_load" ] || { echo "echo_instructions.sh: needs the benchmarks, which run.sh builds" >&2; exit 77; }
command -v valgrind >/dev/null || { echo "echo_instructions.sh: needs valgrind" >&2; exit 77; }
work=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
port=$((30000 + $$ % 5000))

# run CONNECTIONS MILLISECONDS COMMAND...: notes instructions and messages in $work/counts
run() {
    local connections=$1 length=$2 i; shift 2
    port=$((port + 1))
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" "$port" >"$work/out" 2>"$work/err" &
    pid=$!
    for ((i = 0; i < 200; ++i)); do
        if grep -q READY "$work/out"; then break; fi
        kill -0 "$pid" 2>/dev/null || { cat "$work/err" >&2; echo "echo_instructions.sh: '$*' did not start" >&2; exit 1; }
        sleep 0.05
    done
    "$bin/bench_load" "$connections" 64 "$length" "$port:$pid" >"$work/load"
    kill -TERM "$pid"
    wait "$pid" 2>/dev/null || true
    pid=
    echo "$(awk '/Collected *:/ { print $NF }' "$work/err") $(awk '{ print $7 }' "$work/load")" >>"$work/counts"
}
# a_message CONNECTIONS COMMAND...: sets $instructions
a_message() {
    local connections=$1; shift
    : >"$work/counts"
    run "$connections" 10 "$@"
    run "$connections" 60 "$@"
    instructions=$(awk '{ i[NR] = $1; n[NR] = $2 } END { printf "%.0f", (i[2] - i[1]) / (n[2] - n[1]) }' "$work/counts")
}

echo "## Instructions of an echo"
echo
echo "In user space, for each message of 64 bytes (callgrind). Repeated by \`tests/bench/echo_instructions.sh\`."
echo
echo "| server | 1 connection | 64 connections |"
echo "|---|--:|--:|"
for row in "bench_peer_epoll_echo:bare epoll" "bench_peer_uv_echo:libuv" "bench_peer_asio_echo:Asio callbacks" "bench_echo native:**eddy**, native engine" "bench_echo asio:**eddy**, asio engine"; do
    read -r program engine <<<"${row%%:*}"
    [ -x "$bin/$program" ] || continue
    export EDDY_ENGINE=${engine:-native}
    a_message 1 "$bin/$program"
    one=$instructions
    a_message 64 "$bin/$program"
    echo "| ${row#*:} | $one | $instructions |"
done
