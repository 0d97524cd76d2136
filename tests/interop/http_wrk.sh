#!/usr/bin/env bash
# The HTTP server under wrk (Debian: wrk): no request fails. How fast it is is not looked at.
# shellcheck source=tests/lib/http_service.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/http_service.sh"
needs wrk
needs curl
start_http_service

for path in /hello/wrk /bytes/20000; do
    wrk -t 1 -c 50 -d 1s --timeout 20s "$base$path" >load 2>&1 || fail "wrk: $(cat load)"
    requests=$(sed -nE 's/^ *([0-9]+) requests in .*/\1/p' load)
    [ "${requests:-0}" -gt 0 ] || fail "no request was answered: $(cat load)"
    expect_not_in load '(Socket errors|Non-2xx)'
done
# Those that wrk did not wait for are answered as well.
[ "$(answered '/bytes/{n}' 200)" -ge "$requests" ] || fail "wrk has $requests answers, the service gave $(answered '/bytes/{n}' 200)"

# All that is not there is answered too, and keeps the connection.
wrk -t 1 -c 10 -d 1s --timeout 20s "$base/nowhere" >load 2>&1 || fail "wrk: $(cat load)"
expect_in load 'Non-2xx or 3xx responses: [0-9]+'
expect_not_in load 'Socket errors'

stop_http_service
