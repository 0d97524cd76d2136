#!/usr/bin/env bash
# The HTTP server under h2load, in HTTP/1.1 (Debian: nghttp2-client): every request is answered.
# shellcheck source=tests/lib/http_service.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/http_service.sh"
needs h2load
needs curl
start_http_service

# load NUMBER H2LOAD-ARGUMENT...
load() {
    local number=$1
    shift
    timeout 60 h2load --h1 -N 20 -n "$number" "$@" >load 2>&1 || fail "h2load $*: $(cat load)"
    expect_in load "^requests: $number total, $number started, $number done, $number succeeded, 0 failed, 0 errored, 0 timeout\$"
    expect_in load "^status codes: $number 2xx, 0 3xx, 0 4xx, 0 5xx\$"
}

load 3000 -c 30 "$base/hello/h2load"
[ "$(answered '/hello/{name}' 200)" = 3000 ] || fail "the service answered $(answered '/hello/{name}' 200) of 3000"
load 1000 -c 10 "$base/bytes/30000" "$base/bytes/10" # in turn
head -c 40000 /dev/zero | tr '\0' x >note
load 500 -c 10 -d note -H ':method: PUT' "$base/notes/h2load"

stop_http_service
