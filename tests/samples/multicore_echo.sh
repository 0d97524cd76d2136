#!/usr/bin/env bash
# The echo server on three loops: one port, every loop gets connections, and a signal ends it with some of them open.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program multicore_echo

start --port 0 --loops 3
wait_for_line out '^READY$'
[ "$(sed -n 2p out)" = READY ] || fail "READY is not the second line"
port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
[ -n "$port" ] || fail "the first line is not 'PORT n'"

# That one loop gets none of a hundred will not be seen: the kernel goes by a hash of the ports.
connections=()
for ((i = 0; i < 100; ++i)); do
    exec {c}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"
    connections+=("$c")
    printf 'hello %03d\n' "$i" >&"$c"
done
for ((i = 99; i >= 0; --i)); do
    c=${connections[i]}
    IFS= read -r -t 5 line <&"$c" || fail "no echo"
    [ "$line" = "hello $(printf %03d "$i")" ] || fail "echoed '$line' to $i"
    if ((i % 2)); then exec {c}>&-; fi # the others stay open
done

# A lot of it, one way while the other goes on.
exec {c}<>"/dev/tcp/127.0.0.1/$port"
head -c 3000000 /dev/urandom >sent
cat sent >&"$c" &
head -c 3000000 <&"$c" >echoed
cmp sent echoed || fail "the echo differs"

kill -TERM "$pid"
finish
expect_status 0
[ ! -s err ] || fail "it complains"
for i in 0 1 2; do
    expect_in out "^loop $i: [1-9][0-9]* connections, [1-9][0-9]* bytes\$"
done
total=$(awk '/^loop/ { c += $3; b += $5 } END { print c, b }' out)
[ "$total" = "101 3001000" ] || fail "connections and bytes: $total, expected 101 3001000"

# A port that others have.
"$program" --port 99999 2>err2
[ $? = 2 ] || fail "a wrong port is no usage error"
"$program" --port "$port" --loops 2 >out2 2>err2 &
other=$!
started+=("$other")
wait_for_line out2 '^READY$'
kill -INT "$other"
wait "$other" || fail "exit status $? after an interruption"
