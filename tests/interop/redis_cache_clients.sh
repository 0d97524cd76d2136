#!/usr/bin/env bash
# The cache, used by Redis's own clients: redis-cli and redis-benchmark (Debian: redis-tools).
# shellcheck disable=SC2016 # the protocol has dollars
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program redis_cache
command -v redis-cli >/dev/null || skip "there is no redis-cli"
command -v redis-benchmark >/dev/null || skip "there is no redis-benchmark"

start --port 0
wait_for_line out '^READY$'
port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)

# cli EXPECTED ARGUMENT...
cli() {
    local expected=$1 answer
    shift
    answer=$(timeout 20 redis-cli -p "$port" "$@" 2>&1)
    [ "$answer" = "$expected" ] || fail "redis-cli $*: '$answer' instead of '$expected'"
}

cli PONG PING
cli OK SET greeting 'hello, world' EX 1000
cli 'hello, world' GET greeting
cli 1 EXISTS greeting
cli $'a\r\nb' ECHO $'a\r\nb'
cli '' GET none
cli OK -n 0 MSET a 1 b 2
cli $'1\n\n2' MGET a none b
cli 2 INCR a
cli 2 DEL a b
head -c 500000 /dev/urandom | base64 -w 0 >value
[ "$(redis-cli -p "$port" -x SET big <value)" = OK ] || fail "a large value was not taken"
redis-cli -p "$port" GET big | tr -d '\n' | cmp - value || fail "the large value came back changed"
redis-cli -p "$port" INFO | tr -d '\r' >info
expect_in info '^connected_clients:1$'
expect_in info '^db0:keys:2$'
cli "ERR unknown command 'SCAN'" SCAN 0

# A file of commands, all at once.
for ((i = 0; i < 2000; ++i)); do printf '*3\r\n$3\r\nSET\r\n$%d\r\nk%d\r\n$1\r\nv\r\n' $((${#i} + 1)) "$i"; done >commands
timeout 60 redis-cli -p "$port" --pipe <commands >pipe 2>&1 || fail "redis-cli --pipe: $(cat pipe)"
expect_in pipe '^errors: 0, replies: 2000$'
cli 2002 DBSIZE
cli OK FLUSHALL

# One command at a time by 20 clients, and 16 at a time.
for pipeline in 1 16; do
    timeout 120 redis-benchmark -p "$port" -t ping,set,get,incr,mset -n 2000 -c 20 -P "$pipeline" -r 500 --csv >benchmark 2>&1 ||
        fail "redis-benchmark: $(cat benchmark)"
    for test in PING_INLINE PING_MBULK SET GET INCR 'MSET \(10 keys\)'; do expect_in benchmark "^\"$test\",\"[0-9.]+\""; done
    expect_not_in benchmark '(WARNING|ERROR|rror from server)'
done

kill -TERM "$pid"
finish
expect_status 143
[ ! -s err ] || fail "there are messages"
