#!/usr/bin/env bash
# The HTTP server under ab (Debian: apache2-utils), which speaks HTTP/1.0 with "Connection: Keep-Alive": every request is answered.
# shellcheck source=tests/lib/http_service.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/http_service.sh"
needs ab
needs curl
start_http_service

# load NUMBER AB-ARGUMENT...: the report is in `load`
load() {
    local number=$1
    shift
    timeout 60 ab -q -s 20 -n "$number" "$@" >load 2>&1 || fail "ab $*: $(cat load)"
    expect_in load "^Complete requests: +$number\$"
    expect_in load '^Failed requests: +0$'
    expect_not_in load '^(Non-2xx responses|Write errors)'
}

load 2000 -c 20 -k "$base/hello/ab"
expect_in load '^Keep-Alive requests: +2000$'
[ "$(answered '/hello/{name}' 200)" = 2000 ] || fail "the service answered $(answered '/hello/{name}' 200) of 2000"

load 300 -c 20 "$base/bytes/3000" # a connection each
expect_in load '^HTML transferred: +900000 bytes$'

printf 'a note' >note
load 500 -c 10 -k -u note -T text/plain "$base/notes/ab"
[ "$(curl -sS --max-time 20 "$base/notes/ab")" = '{"note":"a note"}' ] || fail "the note is not what was sent"

load 200 -c 10 -k -i "$base/bytes/3000" # HEAD
expect_in load '^HTML transferred: +0 bytes$'

stop_http_service
