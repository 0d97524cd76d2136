#!/usr/bin/env bash
# Builds the benchmarks, runs ours and the peers' in one go, and writes docs/benchmarks.md.
#
#   tests/bench/run.sh            everything, about four minutes
#   tests/bench/run.sh --print    only prints
#
# Servers are pinned to processor 0 and the load to 1; all servers of a cell are up at once and take short turns in a
# changing order. Other programs run three times, interleaved. Tables give medians, ratios are within this run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
target=$top/docs/benchmarks.md
[ "${1:-}" = --print ] && target=/dev/null
cd "$top"
[ "$(nproc)" -ge 2 ] || { echo "run.sh: needs two processors" >&2; exit 1; }
command -v taskset >/dev/null || { echo "run.sh: needs taskset (util-linux)" >&2; exit 1; }
bin=$top/build/bench/tests/bench
work=$(mktemp -d)
{ cmake --preset bench && cmake --build --preset bench --target benchmarks; } >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; echo "run.sh: the build failed" >&2; exit 1; }
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT

median() { sort -g | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }

# start NAME COMMAND...: a server on a free port; appends PORT:PID to $servers
servers=()
port=$((20000 + $$ % 9000))
start() {
    local name=$1; shift
    for _ in 1 2 3 4 5; do
        port=$((port + 1))
        taskset -c 0 "$@" "$port" >"$work/$name.out" 2>"$work/$name.err" &
        local pid=$!
        for _ in $(seq 100); do grep -q READY "$work/$name.out" && break; kill -0 $pid 2>/dev/null || break; read -rt 0.05 <> <(:) || true; done
        if grep -q READY "$work/$name.out"; then pids+=("$pid"); servers+=("$port:$pid"); return; fi
    done
    echo "run.sh: $name did not start: $(cat "$work/$name.err")" >&2; exit 1
}

echo_tables() {
    start epoll "$bin/bench_peer_epoll_echo"
    start asio "$bin/bench_peer_asio_echo"
    start native env EDDY_ENGINE=native "$bin/bench_echo"
    start eddy_asio env EDDY_ENGINE=asio "$bin/bench_echo"
    local names=("bare epoll" "Asio callbacks" "**eddy**, native engine" "**eddy**, asio engine")
    echo "## TCP echo, ping-pong"
    echo
    echo "Ratios are to the bare epoll program's turn of the same cycle; the last column compares messages/s with Asio's callbacks."
    echo
    echo "| connections × bytes | server | messages/s | ratio | server CPU µs a message | ratio | to Asio |"
    echo "|---|---|--:|--:|--:|--:|--:|"
    local cell conns size ms i asio to_asio
    for cell in "1 64 60" "64 64 60" "1000 64 100" "64 16384 60"; do
        read -r conns size ms <<<"$cell"
        i=0
        while read -r rate cpu rate_ratio cpu_ratio; do
            case $i in 1) asio=$rate_ratio to_asio= ;; 2 | 3) to_asio=$(ratio "$rate_ratio" "$asio") ;; *) to_asio= ;; esac
            echo "| $conns × $size | ${names[$i]} | $rate | $rate_ratio | $cpu | $cpu_ratio | $to_asio |"
            i=$((i + 1))
        done < <(taskset -c 1 "$bin/bench_load" "$conns" "$size" "$ms" "${servers[@]}")
    done
    echo
}

# three interleaved runs of several programs; results in $work/NAME.1 …
interleave() {
    local cpus=$1; shift
    local n
    for n in 1 2 3; do
        local program
        for program in "$@"; do taskset -c "$cpus" "$bin/$program" >"$work/$program.$n"; done
    done
}
value() { cat "$work/$1".[123] | awk -v k="$2" -v c="$3" '$1==k {print $c}' | median; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN{printf "%.2f", a/b}'; }

task_table() {
    interleave 0 bench_task bench_peer_asio_task
    echo "## Tasks: ns each (heap blocks each)"
    echo
    echo "| work | Asio awaitable | **eddy** | ratio |"
    echo "|---|--:|--:|--:|"
    local row name ours theirs
    for row in "call:await a coroutine" "fib:recursive call" "join:spawn + await" "spawn:1e6 spawned, one yield each"; do
        name=${row%%:*}
        theirs=$(value bench_peer_asio_task "$name" 2)
        ours=$(value bench_task "$name" 2)
        echo "| ${row#*:} | $theirs ($(value bench_peer_asio_task "$name" 3)) | $ours ($(value bench_task "$name" 3)) | $(ratio "$ours" "$theirs") |"
    done
    echo "| ping-pong round between two tasks | | $(value bench_task pingpong 2) ($(value bench_task pingpong 3)) | |"
    echo
}

memory_table() {
    interleave 0 bench_memory
    echo "## Memory"
    echo
    echo "| a suspended task | bytes |"
    echo "|---|--:|"
    local row
    for row in "task:that waits for an event" "closure:the same, spawned as a lambda" "nested:two coroutines deep" "timeout:in \`with_timeout\`"; do
        echo "| ${row#*:} | $(value bench_memory "${row%%:*}" 2) |"
    done
    echo
    echo "| steady state | heap blocks |"
    echo "|---|--:|"
    for row in "spawn:spawn + await" "event:+ a wait for an event" "mutex:+ a wait for a mutex" "semaphore:+ a wait for a semaphore" \
        "queue:+ a wait for a queue" "channel:+ a wait for a channel" "sleep:sleep" "timeout:\`with_timeout\`" \
        "group:a task group with a child" "wait:spawn + \`wait\` (its list and the caller's)"; do
        echo "| ${row#*:} | $(value bench_memory "blocks_${row%%:*}" 2) |"
    done
    echo
}

seeing_table() {
    echo "## Seeing: ns a step"
    echo
    echo "A task that yields, from the same run as the table of tasks. What is off costs a test of a pointer and of a flag."
    echo
    echo "| | ns | ratio |"
    echo "|---|--:|--:|"
    local off row
    off=$(value bench_task step 2)
    for row in "step:nothing watches" "step_after:an observer was there, and is gone" "step_observer:one observer" "step_debug:debug mode"; do
        echo "| ${row#*:} | $(value bench_task "${row%%:*}" 2) | $(ratio "$(value bench_task "${row%%:*}" 2)" "$off") |"
    done
    echo
}

offload_table() {
    interleave 0,1 bench_offload bench_peer_asio_offload
    echo "## offload of an empty function, one worker"
    echo
    echo "| work | Asio thread_pool + post | **eddy** | ratio |"
    echo "|---|--:|--:|--:|"
    local row key column ours theirs
    for row in "seq:2:round trip p50, µs" "seq:3:round trip p99, µs" "flow:2:1000 outstanding, calls/s" "cpu:2:CPU µs a call there"; do
        IFS=: read -r key column title <<<"$row"
        theirs=$(value bench_peer_asio_offload "$key" "$column")
        ours=$(value bench_offload "$key" "$column")
        echo "| $title | $theirs | $ours | $(ratio "$ours" "$theirs") |"
    done
    echo "| 1 ms tick beside two busy workers, lateness p50 / p99 µs | | $(value bench_offload tick 2) / $(value bench_offload tick 3) | |"
    echo
}

{
    echo "# Benchmarks"
    echo
    echo "Written by \`tests/bench/run.sh\`, which repeats them: $(uname -sr | sed 's/-.*//'), $(nproc) processors, $(c++ --version | head -1), Release."
    echo "Machines drift; trust the ratios, which are taken within one run, before the absolute numbers."
    echo
    echo_tables
    task_table
    seeing_table
    memory_table
    offload_table
    "$here/idle.sh"
} >"$work/page.md" # not a pipe: the list of servers to end has to stay with this shell
cat "$work/page.md"
[ "$target" = /dev/null ] || cp "$work/page.md" "$target"
