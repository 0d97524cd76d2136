#!/usr/bin/env bash
# The cache, as a client sees it that knows no more of Redis than the bytes. (With Redis's own clients: tests/interop.)
# shellcheck disable=SC2016 # the protocol has dollars
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program redis_cache

start_server() {
    start --port 0 "$@"
    wait_for_line out '^READY$'
    port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    [ -n "$port" ] || fail "the first line is not 'PORT n'"
    connect
}

connect() {
    exec {c}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"
}

# answers LINE...: these are the next lines of the answer, each with its carriage return
answers() {
    local expected line
    for expected in "$@"; do
        IFS= read -r -t 10 line <&"$c" || fail "no line where '$expected' was expected"
        [ "$line" = "$expected"$'\r' ] || fail "answered '$line' instead of '$expected'"
    done
}

# ask COMMAND LINE...: an inline command and its answer
ask() {
    printf '%s\r\n' "$1" >&"$c"
    shift
    answers "$@"
}

# lives KEY SECONDS: so long, or a little less
lives() {
    local line
    printf 'TTL %s\r\n' "$1" >&"$c"
    IFS= read -r -t 10 line <&"$c"
    line=${line#:}
    line=${line%$'\r'}
    ((line <= $2 && line > $2 - 40)) || fail "the TTL of $1 is '$line', expected $2"
}

# closed: the server has said all it had to say
closed() {
    local rest
    rest=$(timeout 10 cat <&"$c") || fail "the connection was not closed"
    [ -z "$rest" ] || fail "there is more: $rest"
    exec {c}>&-
}

start_server
ask 'PING' '+PONG'
ask 'ping hello' '$5' 'hello'
ask '  echo   blanks  ' '$6' 'blanks'
ask '' # nothing
ask 'GET none' '$-1'
ask 'SET a 1' '+OK'
ask 'GET a' '$1' '1'
ask 'SET a 2 NX' '$-1'
ask 'SET b 2 XX' '$-1'
ask 'SET b 2 NX EX 100' '+OK'
lives b 100
ask 'TTL a' ':-1'
ask 'PTTL none' ':-2'
ask 'INCR b' ':3'
lives b 100
ask 'SET b 3' '+OK'
ask 'TTL b' ':-1'
ask 'EXPIRE b 50' ':1'
lives b 50
ask 'EXPIRE b -1' ':1'
ask 'EXPIRE b 50' ':0'
ask 'DECR c' ':-1'
ask 'MSET d 4 e 5' '+OK'
ask 'MGET a none e' '*3' '$1' '1' '$-1' '$1' '5'
ask 'EXISTS a a none e' ':3'
ask 'DEL d e e' ':2'
ask 'DBSIZE' ':2'
ask 'KEYS [b-z]' '*1' '$1' 'c'
ask 'FLUSHALL' '+OK'
ask 'KEYS *' '*0'
ask 'SELECT 0' '+OK'
ask 'CLIENT SETNAME me' '+OK'
ask 'CLIENT GETNAME' '$2' 'me'
ask 'CONFIG GET save' '*2' '$4' 'save' '$0' ''

# Patterns.
ask 'MSET hello 1 hallo 1 hxllo 1 hllo 1 a*b 1' '+OK'
ask 'KEYS h?llo' '*3' '$5' 'hxllo' '$5' 'hallo' '$5' 'hello'
ask 'KEYS h[^x]llo' '*2' '$5' 'hallo' '$5' 'hello'
ask 'KEYS *l*o' '*4' '$4' 'hllo' '$5' 'hxllo' '$5' 'hallo' '$5' 'hello'
ask 'KEYS a\*?' '*1' '$3' 'a*b'
ask 'KEYS ********x' '*0'

# Refused, and it goes on.
ask 'LPUSH l 1' "-ERR unknown command 'LPUSH'"
ask 'GET' "-ERR wrong number of arguments for 'GET' command"
ask 'MSET a 1 b' "-ERR wrong number of arguments for 'mset' command"
ask 'SET a 1 EX' '-ERR syntax error'
ask 'SET a 1 NX XX' '-ERR syntax error'
ask 'SET a 1 EX 0' "-ERR invalid expire time in 'set' command"
ask 'SET a 1 PX 9223372036854775807' "-ERR invalid expire time in 'set' command"
ask 'SET a x' '+OK'
ask 'INCR a' '-ERR value is not an integer or out of range'
ask 'SET a 9223372036854775807' '+OK'
ask 'INCR a' '-ERR increment or decrement would overflow'
ask 'SELECT 1' '-ERR DB index is out of range'
ask 'EXPIRE a 99999999999' "-ERR invalid expire time in 'expire' command"

# Arguments may be any bytes, and come in any pieces.
printf '*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$6\r\n\r\n$1\r\n\r\n' >&"$c"
answers '+OK'
for piece in '*2\r' '\n$3' '\r\nGE' 'T\r\n$4\r\na' '\r\nb' '\r' '\n'; do
    # shellcheck disable=SC2059
    printf "$piece" >&"$c"
    sleep 0.01 # so that most are a read of their own
done
answers '$6' '' '$1' ''

# Many at a time.
{ for ((i = 0; i < 5000; ++i)); do printf '*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n'; done; } >&"$c" &
for ((i = 1; i <= 5000; ++i)); do
    IFS= read -r -t 10 line <&"$c"
    [ "$line" = ":$i"$'\r' ] || fail "answer $i is '$line'"
done

# Its time comes, for a reader and without one.
ask 'SET f 1 PX 20' '+OK'
ask 'SET g 1 PX 30' '+OK'
for ((i = 0; i < 400; ++i)); do
    sleep 0.05
    printf 'GET f\r\n' >&"$c"
    IFS= read -r -t 10 line <&"$c"
    [ "$line" != $'$-1\r' ] || break
    IFS= read -r -t 10 line <&"$c"
done
ask 'GET f' '$-1'
ask 'FLUSHALL' '+OK'
ask 'SET g 1 PX 30' '+OK'
for ((i = 0; i < 400; ++i)); do
    printf 'DBSIZE\r\n' >&"$c"
    IFS= read -r -t 10 line <&"$c"
    [ "$line" != $':0\r' ] || break
    sleep 0.05
done
ask 'DBSIZE' ':0'

ask 'QUIT' '+OK'
closed

# What is no protocol is answered, and that is the end.
# broken BYTES MESSAGE
broken() {
    connect
    # shellcheck disable=SC2059
    printf "$1" >&"$c"
    answers "-ERR Protocol error: $2"
    closed
}
broken '*x\r\nPING\r\n' 'invalid multibulk length'
broken '*1000000\r\n' 'invalid multibulk length'
broken '*1\r\nPING\r\n' "expected '\$', got 'P'"
broken '*1\r\n$-5\r\nPING\r\n' 'invalid bulk length'
broken '*1\r\n$1000000000\r\n' 'invalid bulk length'
broken '*1\r\n$4\r\nPINGPONG\r\n' 'a bulk string is longer than announced'
connect
head -c 70000 /dev/zero | tr '\0' x >&"$c"
answers '-ERR Protocol error: too big inline request'
closed

# Somebody who sends and never reads is not served on, and keeps nobody else waiting.
connect
value=$(head -c 60000 /dev/zero | tr '\0' v)
ask "SET big $value" '+OK'
{ for ((i = 0; i < 20000; ++i)); do printf 'GET big\r\n'; done; } 2>/dev/null 1>&"$c" &
started+=($!)
connect
ask 'PING' '+PONG'
ask 'STRLEN big' "-ERR unknown command 'STRLEN'"

# At the end nobody is waited for who wants nothing, and not for long who does not read.
kill -TERM "$pid"
finish
expect_status 143
[ ! -s err ] || fail "there are messages"

# Memory: what was not used for longest goes.
start_server --max-memory 2000 --max-value 1500
value=$(head -c 300 /dev/zero | tr '\0' v)
for key in a b c; do ask "SET $key $value" '+OK'; done
ask 'GET a' '$300' "$value"
ask "SET d $value" '+OK'
ask 'EXISTS d c a' ':3'
ask 'EXISTS b' ':0'
ask "SET e x$value$value$value$value$value" '-ERR Protocol error: an argument is too long'
closed
connect
ask "SET d $value$value$value$value$value" '+OK'
ask 'KEYS *' '*1' '$1' 'd'
kill -INT "$pid"
finish
expect_status 130

"$program" --port 0 --max-memory 5 2>err2
[ $? = 2 ] || fail "a wrong number is no usage error"
grep -q "^redis_cache: --max-memory: '5' is no number from 1000 to" err2 || fail "the message is: $(cat err2)"
