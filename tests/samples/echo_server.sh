#!/usr/bin/env bash
# The echo server: says where it listens, echoes to many at a time, and ends by SIGTERM.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program echo_server

start --port 0 --engine asio
wait_for_line out '^READY$'
[ "$(sed -n 2p out)" = READY ] || fail "READY is not the second line"
port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
[ -n "$port" ] || fail "the first line is not 'PORT n'"

connections=()
for i in 1 2 3 4 5; do
    exec {c}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"
    connections+=("$c")
    printf 'hello %s\n' "$i" >&"$c"
done
for i in 5 3 1 2 4; do
    IFS= read -r -t 5 line <&"${connections[i - 1]}" || fail "no echo"
    [ "$line" = "hello $i" ] || fail "echoed '$line' instead of 'hello $i'"
done

# A lot of it, one way while the other goes on.
exec {c}<>"/dev/tcp/127.0.0.1/$port"
head -c 3000000 /dev/urandom >sent
cat sent >&"$c" &
head -c 3000000 <&"$c" >echoed
cmp sent echoed || fail "the echo differs"

# A port that is taken.
"$program" --port "$port" 2>err2 && fail "two servers on one port"
grep -q "bind to 0.0.0.0:$port: Address already in use" err2 || fail "the message names no address: $(cat err2)"
"$program" --port 99999 2>err2
[ $? = 2 ] || fail "a wrong port is no usage error"

kill -TERM "$pid"
finish
expect_status 143
