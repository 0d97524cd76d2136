#!/usr/bin/env bash
# The proxy: passes on what it is given, both ways, says in SOCKS5's words what it does not do, and ends in good order.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program echo_server
echo_server=$program
program proxy

"$echo_server" --port 0 >out.echo 2>err.echo </dev/null &
started+=("$!")
wait_for_line out.echo '^READY$'
echo_port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out.echo)

# start_proxy ARGUMENT...: $pid, $port
start_proxy() {
    rm -f out err # what the one before said
    start --port 0 "$@"
    wait_for_line out '^READY$'
    port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    [ -n "$port" ] || fail "the first line is not 'PORT n'"
}

# end_proxy: by SIGTERM, with its numbers
end_proxy() {
    kill -TERM "$pid"
    finish
    expect_status 143
}

# expect_echo FD TEXT
expect_echo() {
    local line
    printf '%s\n' "$2" >&"$1"
    IFS= read -r -t 5 line <&"$1" || fail "no echo of '$2'"
    [ "$line" = "$2" ] || fail "echoed '$line' instead of '$2'"
}

# hex N FD: so many bytes of it, 05 00 …; less if it ends before
hex() { timeout 5 head -c "$1" <&"$2" 2>/dev/null | od -An -v -tx1 | tr -s ' \n' ' ' | sed 's/^ //; s/ $//'; }
# say BYTES FD
say() { printf '%b' "$1" >&"$2"; }
connect() { exec {c}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"; }
hang_up() { exec {c}>&-; }
# port_bytes PORT: \xHH\xHH
port_bytes() { printf '\\x%02x\\x%02x' $(($1 >> 8)) $(($1 & 255)); }
# expect_hex EXPECTED N WHAT
expect_hex() {
    local got
    got=$(hex "$2" "$c")
    [ "$got" = "$1" ] || fail "$3: answered '$got', expected '$1'"
}

# --- a port passed on
start_proxy --forward "127.0.0.1:$echo_port" --idle-timeout 0
connect
first=$c
connect
expect_echo "$c" "the second one"
expect_echo "$first" "the first one"
exec {first}>&-
head -c 3000000 /dev/urandom >sent
cat sent >&"$c" &
head -c 3000000 <&"$c" >echoed
cmp sent echoed || fail "what came back differs"
hang_up

if command -v python3 >/dev/null; then
    # The end of one direction is no more than that: the answer still comes, and then the other end.
    python3 - "$port" <<'PY' || fail "half-close is not carried over"
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
s.sendall(b"x" * 300000)
s.shutdown(socket.SHUT_WR)
got = 0
while data := s.recv(65536):
    got += len(data)
sys.exit(got != 300000)
PY
    connections=3
else
    connections=2
fi
end_proxy
expect_in out "^connections $connections, at most [23] at once\$"
expect_in out "^completed $connections, broken 0, idle 0, unreachable 0, refused 0\$"
expect_in out '^bytes up [0-9]{7}, down [0-9]{7}$'

# Nobody there.
start_proxy --forward 127.0.0.1:1
connect
expect_hex '' 1 'a target that does not listen'
hang_up
wait_for_line err 'connect(ing)? to 127\.0\.0\.1:1.*Connection refused'
end_proxy
expect_in out '^completed 0, broken 0, idle 0, unreachable 1, refused 0$'

# Nothing moves. And above the limit one waits until there is room.
start_proxy --forward "127.0.0.1:$echo_port" --idle-timeout 1 --max-connections 1
connect
first=$c
expect_echo "$first" "hello"
connect
printf 'later\n' >&"$c"
IFS= read -r -t 0.2 line <&"$c" && fail "two connections, and the limit is 1"
wait_for_line err ': nothing came either way for too long$'
IFS= read -r -t 5 line <&"$c" || fail "the one that waited is not served"
[ "$line" = later ] || fail "echoed '$line' instead of 'later'"
exec {first}>&-
hang_up
end_proxy
expect_in out '^connections 2, at most 1 at once$'

# --- SOCKS5
start_proxy --socks5
v4="\\x7f\\x00\\x00\\x01$(port_bytes "$echo_port")"

connect # by address
say '\x05\x01\x00' "$c"
expect_hex '05 00' 2 'the method'
say "\\x05\\x01\\x00\\x01$v4" "$c"
[[ "$(hex 10 "$c")" == '05 00 00 01 7f 00 00 01 '* ]] || fail "CONNECT by address was not granted"
expect_echo "$c" "through SOCKS"
hang_up

connect # by name, and all at once, with the first line of what follows
say "\\x05\\x02\\x02\\x00\\x05\\x01\\x00\\x03\\x09localhost$(port_bytes "$echo_port")early\\n" "$c"
expect_hex '05 00 05 00 00 01' 6 'everything at once'
expect_hex '7f 00 00 01' 4 'the bound address'
hex 2 "$c" >/dev/null
IFS= read -r -t 5 line <&"$c" || fail "what came early was dropped"
[ "$line" = early ] || fail "echoed '$line' instead of 'early'"
hang_up

refuse() { # REPLY WHAT REQUEST
    connect
    say '\x05\x01\x00' "$c"
    expect_hex '05 00' 2 'the method'
    say "$3" "$c"
    expect_hex "05 $1 00 01 00 00 00 00 00 00" 11 "$2" # and then it hangs up
    hang_up
}
refuse 07 'BIND' "\\x05\\x02\\x00\\x01$v4"
refuse 07 'UDP ASSOCIATE' "\\x05\\x03\\x00\\x01$v4"
refuse 08 'an address type that is none' '\x05\x01\x00\x02'
refuse 05 'nobody listens there' '\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x01'
refuse 04 'no such name' '\x05\x01\x00\x03\x14no-such-host.invalid\x00\x50'
refuse 01 'a name with a NUL' '\x05\x01\x00\x03\x03a\x00b\x00\x50'

connect # only GSSAPI offered
say '\x05\x01\x01' "$c"
expect_hex '05 ff' 3 'no method that we have'
hang_up
connect # another protocol
say 'GET / HTTP/1.0\r\n\r\n' "$c"
expect_hex '' 1 'HTTP'
hang_up
wait_for_line err 'this is not SOCKS5: its first byte is 71$'
connect # one that leaves
say '\x05\x01\x00\x05\x01' "$c"
expect_hex '05 00' 2 'the method'
hang_up
wait_for_line err ': it left before it said where to$'

# IPv6: to an address, and to another proxy that listens there.
if [ -e /proc/net/if_inet6 ] && grep -q '^0\{31\}1 ' /proc/net/if_inet6; then
    "$program" --port 0 --address ::1 --forward "127.0.0.1:$echo_port" >out.v6 2>err.v6 </dev/null &
    started+=("$!")
    wait_for_line out.v6 '^READY$'
    v6_port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out.v6)
    connect
    say '\x05\x01\x00' "$c"
    expect_hex '05 00' 2 'the method'
    say "\\x05\\x01\\x00\\x04\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\x01$(port_bytes "$v6_port")" "$c"
    expect_hex '05 00 00 04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01' 20 'CONNECT to ::1'
    hex 2 "$c" >/dev/null
    expect_echo "$c" "by IPv6"
    hang_up
fi

connect # one that stays open when the end comes
say '\x05\x01\x00' "$c"
expect_hex '05 00' 2 'the method'
say "\\x05\\x01\\x00\\x01$v4" "$c"
hex 10 "$c" >/dev/null
kill -TERM "$pid"
listening=$(printf '0100007F:%04X 00000000:0000 0A' "$port")
for ((i = 0; i < 100; ++i)); do # looked at from outside: one more connection might still be let in, and counted
    grep -q "$listening" /proc/net/tcp || break
    sleep 0.02
done
(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && fail "it still takes connections"
expect_echo "$c" "still here"
hang_up
finish
expect_status 143
expect_in out '^completed [0-9]+, broken 0, idle 0, unreachable 2, refused 7$'

# A connection that does not end holds it up no longer than the grace period.
start_proxy --forward "127.0.0.1:$echo_port" --grace 1
connect
expect_echo "$c" "hello"
since=$(now_ms)
end_proxy
expect_within 4000 "$since"
hang_up

# --- with a password
export PROXY_PASSWORD='s3cret'
start_proxy --socks5 --user amy
connect
say '\x05\x01\x00' "$c"
expect_hex '05 ff' 3 'no password offered'
hang_up
connect
say '\x05\x02\x00\x02\x01\x03amy\x05wrong' "$c"
expect_hex '05 02 01 01' 5 'a wrong password'
hang_up
connect
say "\\x05\\x02\\x00\\x02\\x01\\x03amy\\x06s3cret\\x05\\x01\\x00\\x01$v4" "$c"
expect_hex '05 02 01 00 05 00 00 01' 8 'the right password'
hex 6 "$c" >/dev/null
expect_echo "$c" "who is there"
hang_up
end_proxy

# --- curl through it, to an HTTP service behind it
if command -v curl >/dev/null && [ -x "$samples/http_service" ]; then
    "$samples/http_service" --port 0 >out.http 2>err.http </dev/null &
    started+=("$!")
    wait_for_line out.http '^READY$'
    http_port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out.http)
    start_proxy --socks5 --user amy
    curl -sS --max-time 10 --socks5-hostname "amy:s3cret@127.0.0.1:$port" "http://localhost:$http_port/hello/amy" >answer || fail "curl: $?"
    expect_in answer '"hello":"amy"'
    curl -sS --max-time 10 --socks5-hostname "amy:nonsense@127.0.0.1:$port" "http://localhost:$http_port/" >answer 2>&1 && fail "the wrong password does as well"
    end_proxy
fi

# --- the command line
usage_error() {
    run "${@:2}"
    expect_status 2
    expect_in err "$1"
}
usage_error '^proxy: --port is missing$' --socks5
usage_error '^proxy: either --forward HOST:PORT or --socks5$' --port 0
usage_error "^proxy: --forward: 'nowhere' is not HOST:PORT\$" --port 0 --forward nowhere
usage_error "^proxy: --port: '99999' is no number from 0 to 65535\$" --port 99999 --socks5
usage_error "^proxy: '--user' needs a value" --port 0 --socks5 --user
unset PROXY_PASSWORD
usage_error 'PROXY_PASSWORD' --port 0 --socks5 --user amy
run --port "$echo_port" --address 0.0.0.0 --socks5
expect_status 1
expect_in err "bind to 0\.0\.0\.0:$echo_port: Address already in use"
