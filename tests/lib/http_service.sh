# shellcheck shell=bash
# Sourced by tests that load the sample http_service with a program; program.sh comes with it.
#
#   needs PROGRAM            the test is skipped if there is none
#   start_http_service ARGUMENT...
#                            $base: its URL, $port
#   answered ROUTE STATUS    how many requests it has answered so, as its own metrics have it
#   stop_http_service        ends it, in good order, and looks whether it was still well

# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/program.sh"

needs() {
    command -v "$1" >/dev/null || skip "there is no $1"
}

start_http_service() {
    program http_service
    start --port 0 --drain 0 --grace 5 "$@"
    wait_for_line out '^READY$'
    port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    [ -n "$port" ] || fail "the first line is not 'PORT n'"
    base=http://127.0.0.1:$port
}

answered() {
    curl -sS --max-time 20 "$base/metrics" | sed -n "s|^http_requests_total{route=\"$1\",status=\"$2\"} ||p"
}

stop_http_service() {
    [ "$(curl -sS --max-time 20 "$base/healthz")" = '{"status":"ok"}' ] || fail "the service is not well: $(cat out)"
    kill -TERM "$pid"
    finish
    expect_status 143
}
