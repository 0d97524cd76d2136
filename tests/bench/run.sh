#!/usr/bin/env bash
# Builds the benchmarks, runs ours and the peers' in one go, and writes docs/benchmarks.md.
#
#   tests/bench/run.sh            everything, about a quarter of an hour
#   tests/bench/run.sh --print    only prints
#
# Servers are pinned to processor 0 and the load to 1; all servers of a cell are up at once and take short turns in a
# changing order. Other programs run three times, interleaved. Tables give medians, ratios are within this run. With the
# Debian packages libuv1-dev and liburing-dev, libuv and a bare io_uring are among the peers; with golang-go and python3-uvloop those are. A
# table whose programs are not installed (valgrind, nginx, redis-server, …) is left out. The files need 1 GiB of disk in TMPDIR, and of memory.
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
{ cmake --preset bench -DEDDY_BUILD_SAMPLES=ON && cmake --build --preset bench --target benchmarks; } >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; echo "run.sh: the build failed" >&2; exit 1; }
if ! cmake --build --preset bench --target jobs_worker >"$work/build.log" 2>&1; then echo "run.sh: without samples/jobs_worker: no table of jobs" >&2; fi
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT

median() { sort -g | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }

# start NAME COMMAND...: a server on a free port; appends PORT:PID to $servers and NAME to $names
servers=() names=()
port=$((20000 + $$ % 9000))
start() {
    local name=$1; shift
    for _ in 1 2 3 4 5; do
        port=$((port + 1))
        taskset -c 0 "$@" "$port" >"$work/server.out" 2>"$work/server.err" &
        local pid=$!
        for _ in $(seq 100); do grep -q READY "$work/server.out" && break; kill -0 $pid 2>/dev/null || break; read -rt 0.05 <> <(:) || true; done
        if grep -q READY "$work/server.out"; then pids+=("$pid"); servers+=("$port:$pid"); names+=("$name"); return; fi
        kill $pid 2>/dev/null || true
    done
    echo "run.sh: $name did not start: $(cat "$work/server.err")" >&2; return 1
}
have() { [ -x "$bin/$1" ]; }
# Go's echo server, if there is a Go.
go_echo() { command -v go >/dev/null && (cd "$work" && GOCACHE=$work/go-cache GOFLAGS=-mod=mod go build -o echo-go "$here/peer_echo.go") >"$work/go.log" 2>&1; }

echo_tables() {
    start "bare epoll" "$bin/bench_peer_epoll_echo"
    start "Asio callbacks" "$bin/bench_peer_asio_echo"
    if have bench_peer_uring_echo; then start "bare io_uring" "$bin/bench_peer_uring_echo" || true; fi # the kernel may forbid it
    if have bench_peer_uv_echo; then start "libuv" "$bin/bench_peer_uv_echo"; fi
    if go_echo; then start "Go" "$work/echo-go"; fi
    if python3 -c 'import uvloop' 2>/dev/null; then start "Python's uvloop" python3 "$here/peer_uvloop_echo.py"; fi
    start "**eddy**, native engine" env EDDY_ENGINE=native "$bin/bench_echo"
    start "**eddy**, asio engine" env EDDY_ENGINE=asio "$bin/bench_echo"
    echo "## TCP echo, ping-pong"
    echo
    echo "Ratios are to the bare epoll program's turn of the same cycle; the third compares messages/s with Asio's callbacks."
    echo
    echo "| connections × bytes | server | CPU ratio | messages/s ratio | to Asio | messages/s | server CPU µs a message | p50 µs | p99 µs |"
    echo "|---|---|--:|--:|--:|--:|--:|--:|--:|"
    local cell conns size ms i asio to_asio rate cpu rate_ratio cpu_ratio p50 p99
    for cell in "1 64 60" "64 64 60" "1000 64 100" "1 16384 60" "64 16384 60" "1000 16384 100"; do
        read -r conns size ms <<<"$cell"
        i=0
        while read -r rate cpu rate_ratio cpu_ratio p50 p99 _; do
            case ${names[$i]} in
                Asio*) asio=$rate_ratio to_asio= ;;
                *eddy*) to_asio=$(ratio "$rate_ratio" "$asio") ;;
                *) to_asio= ;;
            esac
            echo "| $conns × $size | ${names[$i]} | $cpu_ratio | $rate_ratio | $to_asio | $rate | $cpu | $p50 | $p99 |"
            i=$((i + 1))
        done < <(taskset -c 1 "$bin/bench_load" "$conns" "$size" "$ms" "${servers[@]}")
        [ $i = ${#names[@]} ] || { echo "run.sh: no figures for $cell" >&2; exit 1; }
    done
    echo
}

# interleave CPUS "PROGRAM ARGUMENT..."...: three runs of each, interleaved; results in $work/PROGRAM_ARGUMENT….1 to .3
interleave() {
    local cpus=$1 n program key; shift
    for n in 1 2 3; do
        for program in "$@"; do
            key=${program//[ \/]/_}
            # shellcheck disable=SC2086 # a program and its arguments
            taskset -c "$cpus" "$bin"/$program >"$work/$key.$n"
        done
    done
}
# value "PROGRAM ARGUMENT..." ROW COLUMN: the median
value() { cat "$work/${1//[ \/]/_}".[123] | awk -v k="$2" -v c="$3" '$1==k {print $c}' | median; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b == 0) print "-"; else printf "%.2f", a / b }'; }

# table SCRIPT: what it prints; nothing, if what it needs is not there (77)
table() {
    local status=0
    "$here/$1" >"$work/table" || status=$?
    [ $status = 0 ] || [ $status = 77 ] || exit 1
    [ $status = 77 ] || { cat "$work/table"; echo; }
}

task_table() {
    local limit=bench_peer_limit_task asio=bench_peer_asio_task
    interleave 0 bench_task $limit $asio
    echo "## Tasks: ns each (heap blocks each)"
    echo
    echo "The limit is coroutines that can neither be cancelled nor fail, on a list of what is ready: \`tests/bench/peer_limit_task.cpp\`."
    echo
    echo "| work | to the limit | to Asio | **eddy** | limit | Asio awaitable |"
    echo "|---|--:|--:|--:|--:|--:|"
    local row name ours theirs least to_asio
    for row in "call:await a coroutine" "fib:recursive call" "join:spawn + await" "spawn:1e6 spawned, one yield each" \
        "pingpong:ping-pong round between two tasks"; do
        name=${row%%:*}
        ours=$(value bench_task "$name" 2)
        least=$(value $limit "$name" 2)
        theirs=$(value $asio "$name" 2)
        to_asio=
        if [ -n "$theirs" ]; then
            to_asio=$(ratio "$ours" "$theirs")
            theirs="$theirs ($(value $asio "$name" 3))"
        fi
        echo "| ${row#*:} | $(ratio "$ours" "$least") | $to_asio | $ours ($(value bench_task "$name" 3)) | $least ($(value $limit "$name" 3)) | $theirs |"
    done
    echo
}

timer_table() {
    local rows=("bench_peer_asio_timer callbacks:Asio steady_timer, callbacks" "bench_peer_asio_timer awaitable:Asio steady_timer, awaitable")
    if have bench_peer_uv_timer; then rows+=("bench_peer_uv_timer:libuv"); fi
    rows+=("bench_timer callbacks:**eddy**, call_later" "bench_timer tasks:**eddy**, tasks that sleep")
    interleave 0 "${rows[@]%%:*}"
    echo "## Timers: a million sleepers, up to a second"
    echo
    echo "Ratios are to the first row. What is set and cancelled are bare timers, a million at a time."
    echo
    echo "| program | CPU ratio | bytes ratio | set + cancel ratio | ms beyond the second | CPU ns a sleeper | bytes a sleeper | late p50, µs | late p99, µs | set + cancel, ns |"
    echo "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    local row p base=${rows[0]%%:*}
    for row in "${rows[@]}"; do
        p=${row%%:*}
        echo "| ${row#*:} | $(ratio "$(value "$p" cpu 2)" "$(value "$base" cpu 2)") | $(ratio "$(value "$p" mem 2)" "$(value "$base" mem 2)")" \
            "| $(ratio "$(value "$p" cancel 2)" "$(value "$base" cancel 2)") | $(value "$p" over 2) | $(value "$p" cpu 2) | $(value "$p" mem 2)" \
            "| $(value "$p" late 2) | $(value "$p" late 3) | $(value "$p" cancel 2) |"
    done
    echo
    echo "To spawn a task that goes to sleep, cancel it, and have it unwind takes $(value "bench_timer tasks" unwind 2) ns."
    echo
}

file_table() {
    local f=$work/file
    head -c $((1 << 30)) /dev/zero >"$f"
    cat "$f" >/dev/null # all of it in the page cache
    local rows=("bench_peer_pread $f:pread loop")
    if have bench_peer_uring_file && "$bin/bench_peer_uring_file" "$f" >/dev/null 2>&1; then rows+=("bench_peer_uring_file $f:bare io_uring"); fi
    if have bench_peer_uv_file; then rows+=("bench_peer_uv_file $f:libuv"); fi
    rows+=("bench_file $f --engine native:**eddy**, native engine" "bench_file $f --engine asio:**eddy**, asio engine")
    interleave 0,1 "${rows[@]%%:*}"
    rm -f "$f"
    echo "## Files in the page cache"
    echo
    echo "1 GiB in chunks of 64 KiB one after the other, and 200 000 blocks of 4 KiB at random, 32 at a time; ratios are to the loop of"
    echo "pread, which does one after the other."
    echo
    echo "| program | sequential ratio | random ratio | sequential MB/s | CPU µs a chunk | random reads/s | CPU µs a read |"
    echo "|---|--:|--:|--:|--:|--:|--:|"
    local row p base=${rows[0]%%:*}
    for row in "${rows[@]}"; do
        p=${row%%:*}
        echo "| ${row#*:} | $(ratio "$(value "$p" seq 2)" "$(value "$base" seq 2)") | $(ratio "$(value "$p" rand 2)" "$(value "$base" rand 2)")" \
            "| $(value "$p" seq 2) | $(value "$p" seqcpu 2) | $(value "$p" rand 2) | $(value "$p" randcpu 2) |"
    done
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
    echo "| | ratio | ns |"
    echo "|---|--:|--:|"
    local off row
    off=$(value bench_task step 2)
    for row in "step:nothing watches" "step_after:an observer was there, and is gone" "step_observer:one observer" "step_debug:debug mode"; do
        echo "| ${row#*:} | $(ratio "$(value bench_task "${row%%:*}" 2)" "$off") | $(value bench_task "${row%%:*}" 2) |"
    done
    echo
}

offload_table() {
    local rows=("bench_peer_asio_offload:Asio thread_pool + post")
    if have bench_peer_uv_offload; then rows+=("bench_peer_uv_offload:libuv uv_queue_work"); fi
    rows+=("bench_offload:**eddy**")
    interleave 0,1 "${rows[@]%%:*}"
    echo "## offload of an empty function, one worker"
    echo
    echo "There and back: one after another, after 2 ms in which everybody sleeps, and 1000 outstanding; and how late a tick of 1 ms is while two"
    echo "workers burn 2 ms at a time. Ratios are to the first row."
    echo
    echo "| program | CPU a call ratio | calls/s ratio | one after another, p50 / p99 µs | after a pause, p50 µs | 1000 outstanding, calls/s | CPU µs a call there | tick, late p50 / p99 µs |"
    echo "|---|--:|--:|--:|--:|--:|--:|--:|"
    local row p base=${rows[0]%%:*}
    for row in "${rows[@]}"; do
        p=${row%%:*}
        echo "| ${row#*:} | $(ratio "$(value "$p" cpu 2)" "$(value "$base" cpu 2)") | $(ratio "$(value "$p" flow 2)" "$(value "$base" flow 2)")" \
            "| $(value "$p" seq 2) / $(value "$p" seq 3) | $(value "$p" cold 2) | $(value "$p" flow 2) | $(value "$p" cpu 2) | $(value "$p" tick 2) / $(value "$p" tick 3) |"
    done
    echo
}

process_pool_table() {
    command -v python3 >/dev/null || return 0
    interleave 0,1 bench_process_pool
    local n row method
    for n in 1 2 3; do taskset -c 0,1 python3 "$here/peer_process_pool.py" >"$work/peer_process_pool.$n"; done
    echo "## An empty function in another process, two workers"
    echo
    echo "| | first call, µs | round trip p50, µs | many outstanding, calls/s | eddy's calls/s to it |"
    echo "|---|--:|--:|--:|--:|"
    echo "| **eddy** | $(value bench_process_pool first 2) | $(value bench_process_pool seq 2) | $(value bench_process_pool flow 2) | |"
    for method in fork forkserver spawn; do
        row=$(value peer_process_pool $method 4)
        echo "| ProcessPoolExecutor, $method | $(value peer_process_pool $method 2) | $(value peer_process_pool $method 3) | $row | $(ratio "$(value bench_process_pool flow 2)" "$row") |"
    done
    echo
    echo "A \`map\` whose items travel 100 at a time: $(value bench_process_pool map 2) items/s."
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
    timer_table
    file_table
    offload_table
    process_pool_table
    seeing_table
    memory_table
    idle_peers=()
    [ ! -x "$work/echo-go" ] || idle_peers+=("Go=$work/echo-go")
    "$here/idle.sh" "${idle_peers[@]}"
    table echo_instructions.sh
    table web.sh
    if [ -x "$top/build/bench/samples/jobs_worker" ] && command -v redis-server >/dev/null && /usr/bin/python3 -c 'import celery, rq, redis' 2>/dev/null; then
        "$here/jobs.sh" "$top/build/bench/samples"
        echo
    fi
    table compile_time.sh
} >"$work/page.md" # not a pipe: the list of servers to end has to stay with this shell

# chart NAME SECTION LABELS VALUES TEXT: docs/benchmarks-NAME.svg, and a link to it under the section's heading
charts=$work
[ "$target" = /dev/null ] || charts=$top/docs
chart() {
    awk -v section="$2" -v labels="$3" -v values="$4" -f "$here/bars.awk" "$work/page.md" >"$charts/benchmarks-$1.svg"
    awk -v section="## $2" -v link="![$5](benchmarks-$1.svg)" '{ print } index($0, section) == 1 { print ""; print link }' "$work/page.md" >"$work/linked.md"
    mv "$work/linked.md" "$work/page.md"
}
chart echo "TCP echo" 1,2 3 "CPU a message, ratio to bare epoll"
chart tasks "Tasks" 1 2 "Time of each work, ratio to the limit"
chart timers "Timers" 1 2,3,4 "CPU, bytes, and set + cancel, ratio to Asio's callbacks"
chart files "Files" 1 2,3 "Reads a second, ratio to a loop of pread"
chart offload "offload" 1 2,3 "CPU a call and calls a second, ratio to Asio's thread_pool"
cat "$work/page.md"
[ "$target" = /dev/null ] || cp "$work/page.md" "$target"
