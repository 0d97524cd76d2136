#!/usr/bin/env bash
# The queue in Redis: all jobs are done, and those that a killed run has left half done are done by the next one.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program redis_queue
command -v redis-server >/dev/null || skip "there is no redis-server"

redis-server --port 0 --unixsocket "$workdir/redis.sock" --save '' --dir "$workdir" >server 2>&1 &
started+=("$!")
wait_for_line server 'ready to accept connections'
url="unix://$workdir/redis.sock?db=0"

run --url "$url" --jobs 200 --workers 3
expect_status 0
expect_in out '^200 jobs done by 3 workers; the longest way is that of 171: 124 steps$'
[ ! -s err ] || fail "it says something on stderr"

# As if a worker had died with two jobs in its hands.
redis-cli -s "$workdir/redis.sock" RPUSH eddy:doing:1 27 97 >/dev/null || skip "there is no redis-cli"
run --url "$url" --jobs 2 --workers 3
expect_status 0
expect_in out '^2 jobs of an earlier run were half done$'
expect_in out '^2 jobs done by 3 workers; the longest way is that of 97: 118 steps$'

run --url "redis://127.0.0.1:1/0"
expect_status 1
expect_in err 'connection refused|Connection refused'
run --jobs none
expect_status 2
expect_in err '^usage: redis_queue'
