#!/usr/bin/env bash
# Commands a second of the Redis client, of hiredis's blocking one and of redis-benchmark, one after another against one server.
#
#   tests/bench/redis.sh [FOLDER-OF-THE-BENCHMARKS]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${1:-$here/../../build/bench/tests/bench}
for tool in redis-server redis-benchmark; do
    command -v $tool >/dev/null || { echo "redis.sh: needs $tool (Debian: redis-server redis-tools)" >&2; exit 1; }
done
work=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

port=$((20000 + $$ % 9000))
for _ in 1 2 3 4 5; do
    port=$((port + 1))
    redis-server --port $port --bind 127.0.0.1 --save '' --dir "$work" >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        grep -q '[Rr]eady to accept connections' "$work/log" && break
        kill -0 $server 2>/dev/null || break
        sleep 0.05
    done
    grep -q '[Rr]eady to accept connections' "$work/log" && break
done
grep -q '[Rr]eady to accept connections' "$work/log" || { cat "$work/log" >&2; exit 1; }

for pipeline in 1 16 100; do
    n=200000
    [ $pipeline != 1 ] || n=20000
    rate=$(redis-benchmark -p $port -t set -c 1 -P $pipeline -n $n --csv 2>/dev/null | awk -F'","' '/SET/ { gsub(/"/, "", $2); printf "%.0f", $2 }')
    printf 'redis-benchmark-pipeline-%s %s\n' $pipeline "$rate"
done
"$bin/bench_redis" "redis://127.0.0.1:$port/0" 127.0.0.1 $port
