#!/usr/bin/env bash
# The chat server: everybody hears everybody; names, limits and slow clients; it says good-bye.
# shellcheck disable=SC2154 # come sets its first argument
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program chat_server

start_server() {
    start --port 0 "$@"
    wait_for_line out '^READY$'
    port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    [ -n "$port" ] || fail "the first line is not 'PORT n'"
}

# hears DESCRIPTOR LINE: it is the next line there
hears() {
    local line
    IFS= read -r -t 60 line <&"$1" || fail "no line where '$2' was expected"
    [ "$line" = "$2" ] || fail "heard '$line' instead of '$2'"
}

# come VARIABLE NAME OTHERS: connects and is welcomed; OTHERS are those who are there then
come() {
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || fail "no connection"
    hears "$fd" '* what is your name?'
    printf '%s\n' "$2" >&"$fd"
    hears "$fd" "* welcome, $2"
    hears "$fd" "* here: $3"
    printf -v "$1" '%s' "$fd"
}

start_server --clients 3
come ann ann 'ann'
come bob bob 'ann bob'
hears "$ann" '* bob has come'
printf 'hello\n' >&"$ann"
hears "$bob" 'ann: hello'
printf 'hi \033[2J there\r\n' >&"$bob"
hears "$ann" 'bob: hi ?[2J there'

# Names.
exec {cid}<>"/dev/tcp/127.0.0.1/$port"
hears "$cid" '* what is your name?'
printf 'bob\n' >&"$cid"
hears "$cid" '* bob is taken'
printf 'no name\n' >&"$cid"
hears "$cid" '* a name is 1 to 16 letters, digits, - and _'
printf 'cid\n' >&"$cid"
hears "$cid" '* welcome, cid'
hears "$cid" '* here: ann bob cid'
hears "$ann" '* cid has come'
hears "$bob" '* cid has come'
printf '/nick bob\n/nick eve\n/who\n/dance\n' >&"$cid"
hears "$cid" '* bob is taken'
hears "$ann" '* cid is now eve'
hears "$bob" '* cid is now eve'
for _ in 1 2 3; do # its own change of name comes by another way than the answers
    IFS= read -r -t 60 line <&"$cid" || fail "no answer"
    printf '%s\n' "$line" >>answers
done
expect_in answers '^\* cid is now eve$'
expect_in answers '^\* here: ann bob eve$'
expect_in answers "^\\* there is no command '/dance'; known: /who, /nick NAME, /quit\$"

# A fourth does not get in.
exec {full}<>"/dev/tcp/127.0.0.1/$port"
hears "$full" '* the room is full, try again later'
exec {full}>&-

# Leaving: with and without a word, and with too long a line.
printf '/quit\n' >&"$bob"
hears "$ann" '* bob has left (quit)'
hears "$cid" '* bob has left (quit)'
[ -z "$(cat <&"$bob")" ] || fail "something was said to who had left"
exec {bob}>&-
exec {cid}>&-
hears "$ann" '* eve has left (gone)'
come dan dan 'ann dan'
hears "$ann" '* dan has come'
{ head -c 3000 /dev/zero | tr '\0' x && echo; } >&"$dan"
hears "$dan" '* you are dropped: a line of more than 1000 bytes'
hears "$ann" '* dan has left (a line of more than 1000 bytes)'
wait_for_line err '^chat_server: dropped dan \(127\.0\.0\.1:[0-9]+\): a line of more than 1000 bytes$'
exec {dan}>&-

# The end: everybody is told, those without a name too.
exec {fay}<>"/dev/tcp/127.0.0.1/$port"
hears "$fay" '* what is your name?'
kill -INT "$pid"
hears "$ann" '* the server is shutting down'
hears "$fay" '* the server is shutting down'
exec {ann}>&- {fay}>&-
finish
expect_status 130
[ "$(wc -l <err)" = 1 ] || fail "more than one message"

# Who does not read is dropped, and nobody else waits for it. (For which of the two reasons depends on what the kernel buffers.)
flood() { # to DESCRIPTOR: 2 MB
    local text
    text=$(head -c 500 /dev/zero | tr '\0' y)
    yes "$text" | head -n 4000 >&"$1"
}
start_server --pace 0 --patience 300
come ann ann 'ann'
come slow slow 'ann slow'
hears "$ann" '* slow has come'
flood "$ann"
IFS= read -r -t 60 line <&"$ann"
printf '%s\n' "$line" >line
expect_in line '^\* slow has left \(too slow, has (not read for 300 ms|missed [0-9]+ lines)\)$'
wait_for_line err '^chat_server: dropped slow \(127\.0\.0\.1:[0-9]+\): too slow, has (not read for 300 ms|missed [0-9]+ lines)$'
exec {slow}>&-
kill -TERM "$pid"
exec {ann}>&-
finish
expect_status 143

# And who does read, but too late for what has been said.
start_server --pace 0 --patience 60000
come ann ann 'ann'
come late late 'ann late'
hears "$ann" '* late has come'
flood "$ann"
printf '/who\n' >&"$ann" # once this is answered, all of it has been said
IFS= read -r -t 60 line <&"$ann"
# If the kernel has found room for more meanwhile, it has come out before late reads.
if [ "$line" = '* here: ann late' ]; then
    cat <&"$late" >/dev/null 2>&1
    IFS= read -r -t 60 line <&"$ann"
fi
printf '%s\n' "$line" >line
expect_in line '^\* late has left \(too slow, has missed [0-9]+ lines\)$'
expect_in err '^chat_server: dropped late \(127\.0\.0\.1:[0-9]+\): too slow, has missed [0-9]+ lines$'
kill -TERM "$pid"
exec {ann}>&- {late}>&-
finish
expect_status 143

"$program" --port 0 --clients none 2>err2
[ $? = 2 ] || fail "a wrong number is no usage error"
grep -q "^chat_server: --clients: 'none' is no number from 1 to 100000$" err2 || fail "the message is: $(cat err2)"
