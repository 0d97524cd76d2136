#!/usr/bin/env bash
# The offload demo: the ticker is late when the work is on the loop, and not when it is on the pool.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program offload_demo

run
expect_status 0
p50() { sed -nE "s/^  $1 +[0-9]+ +([0-9]+)\.[0-9]+ .*/\1/p" out; }
pool=$(p50 'on the pool, by offload')
loop=$(p50 'on the loop: the mistake')
[ -n "$pool$loop" ] || fail "the table lacks a row"
[ "$loop" -ge 50 ] || fail "p50 $loop ms with the work on the loop: it was to be blocked"
[ "$pool" -lt $((loop / 2)) ] || fail "p50 $pool ms with the work on the pool, $loop ms on the loop"
expect_in out '^Both ways found the same [0-9]+ primes\.'
