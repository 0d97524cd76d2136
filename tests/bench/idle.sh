#!/usr/bin/env bash
# 10 000 idle connections beside 1 000 busy ones in one server process: prints a table of docs/benchmarks.md.
#
#   tests/bench/idle.sh [NAME=COMMAND]...
#
# Ours and the peers of this folder, and each COMMAND: an echo server that takes a port as its last argument and prints READY. So
# the servers of other libraries are run the same way, e.g. 'libuv=path/to/echo-uv' 'Go=path/to/echo-go'.
# The server is pinned to processor 0, the load to 1. IDLE=N and BUSY=N set how many. A process needs as many descriptors
# (ulimit -Hn) as there are connections, and some.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
bin=$top/build/bench/tests/bench
idle=${IDLE:-10000} busy=${BUSY:-1000}
case ${1:-} in -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
command -v taskset >/dev/null || { echo "idle.sh: needs taskset (util-linux)" >&2; exit 1; }
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] || [ "$limit" -ge $((idle + busy + 100)) ] ||
    { echo "idle.sh: a process may have $limit descriptors; IDLE=$idle BUSY=$busy needs more" >&2; exit 1; }
work=$(mktemp -d)
pid=
trap 'if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
(cd "$top" && cmake --preset bench && cmake --build --preset bench --target benchmarks) >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; echo "idle.sh: the build failed" >&2; exit 1; }

port=$((20000 + $$ % 9000))
# start COMMAND...: on a free port; $port, $pid
start() {
    local i
    for _ in 1 2 3 4 5; do
        port=$((port + 1))
        : >"$work/out"
        taskset -c 0 "$@" "$port" >"$work/out" 2>"$work/err" &
        pid=$!
        for ((i = 0; i < 100; ++i)); do
            if grep -q READY "$work/out"; then return; fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    echo "idle.sh: '$*' did not start: $(cat "$work/err")" >&2
    exit 1
}

# row NAME COMMAND...
row() {
    local name=$1 silent spoken alone beside wake_ups
    shift
    start "$@"
    read -r silent spoken alone beside wake_ups < <(taskset -c 1 "$bin/bench_idle" "$idle" "$busy" 500 "$port:$pid")
    kill "$pid"
    wait "$pid" 2>/dev/null || true
    pid=
    [ -n "$wake_ups" ] || { echo "idle.sh: no figures for $name" >&2; exit 1; }
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$silent" "$spoken" "$alone" "$beside" \
        "$(awk -v a="$beside" -v b="$alone" 'BEGIN { printf "%.2f", a / b }')" "$wake_ups"
}

echo "## Idle connections"
echo
echo "Resident bytes of an echo server's process for each of $idle idle connections, and messages/s of 64 bytes on $busy busy ones"
echo "beside them. A buffer of 16 KiB a connection, of which the page that was written to is resident, but for bare epoll and libuv,"
echo "which share one, and for eddy, whose reads borrow one when there is something to read. Repeated by \`tests/bench/idle.sh\`,"
echo "which runs the servers of other libraries too (\`idle.sh 'Go=echo-go'\`)."
echo
echo "| server | bytes, never spoke | bytes, after one message | messages/s without the idle | with them | ratio | wake-ups a minute, all idle |"
echo "|---|--:|--:|--:|--:|--:|--:|"
row "bare epoll" "$bin/bench_peer_epoll_echo"
row "Asio callbacks" "$bin/bench_peer_asio_echo"
if [ -x "$bin/bench_peer_uv_echo" ]; then row "libuv" "$bin/bench_peer_uv_echo"; fi
row "**eddy**, native engine" "$bin/bench_echo"
for peer in "$@"; do
    # shellcheck disable=SC2086 # a command and its arguments
    row "${peer%%=*}" ${peer#*=}
done
echo
