#!/usr/bin/env bash
# Half-close, by socat and by nc: they say that they have no more to send, and still get all of the answer.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program echo_server
command -v socat >/dev/null || command -v nc >/dev/null || skip "there is neither socat nor nc"

start --port 0
wait_for_line out '^READY$'
port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
printf 'hello\n' >small
: >nothing
head -c 3000000 /dev/urandom >large

# echoes PROGRAM ARGUMENT...: it gives back what it reads; it ends since the server closes, long before its own time is over
echoes() {
    local file
    for file in small nothing large; do
        timeout 30 "$@" <"$file" >echoed 2>messages || fail "$* with '$file': status $?, $(cat messages)"
        cmp "$file" echoed || fail "$*: the echo of '$file' differs"
    done
}

tried=0
if command -v socat >/dev/null; then
    echoes socat -t 20 - "TCP:127.0.0.1:$port"
    tried=$((tried + 1))
fi
if nc -h 2>&1 | grep -q -- '-N.*[Ss]hutdown'; then # OpenBSD's
    echoes nc -N 127.0.0.1 "$port"
    tried=$((tried + 1))
fi
[ $tried -gt 0 ] || skip "this nc cannot shut down one direction, and there is no socat"

# Many at a time.
for i in $(seq 20); do
    if command -v socat >/dev/null; then
        timeout 30 socat -t 20 - "TCP:127.0.0.1:$port" <small >"echo.$i" &
    else
        timeout 30 nc -N 127.0.0.1 "$port" <small >"echo.$i" &
    fi
    clients[i]=$!
done
for i in $(seq 20); do
    wait "${clients[i]}" || fail "client $i: $?"
    cmp small "echo.$i" || fail "client $i got another echo"
done

kill -TERM "$pid"
finish
expect_status 143
