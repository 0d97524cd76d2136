#!/usr/bin/env bash
# The HTTP service: its routes, its metrics, and that its end is in good order.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program http_service
command -v curl >/dev/null || skip "there is no curl"

start_service() {
    rm -f out err # what the one before said
    start --port 0 "$@"
    wait_for_line out '^READY$'
    port=$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    [ -n "$port" ] || fail "the first line is not 'PORT n'"
    base=http://127.0.0.1:$port
}

# ask STATUS PATH CURL-OPTION...: the body is in `body`, the headers in `head`
ask() {
    local got
    got=$(curl -sS --max-time 60 -o body -D head -w '%{http_code}' "${@:3}" "$base$2") || fail "curl $2: $?"
    [ "$got" = "$1" ] || fail "$2 gave $got, expected $1: $(head -c 300 body)"
}
# expect_body TEXT
expect_body() { [ "$(cat body)" = "$1" ] || fail "the body is '$(cat body)', expected '$1'"; }
# metric NAME-WITH-LABELS: its value
metric() { curl -sS --max-time 60 "$base/metrics" | sed -n "s/^$(printf '%s' "$1" | sed 's/[][{}*.^$/]/\\&/g') //p"; }

mkdir -p files
printf '0123456789' >files/ten.txt
start_service --drain 0 --grace 1 --files files

ask 200 /
expect_body '{"routes":["GET /","GET /hello/{name}","GET /notes/{key}","PUT /notes/{key}","GET /primes/{n}","GET /bytes/{n}","GET /files/{path...}","GET /metrics","GET /healthz"]}'
expect_in head '^Content-Type: application/json'
ask 200 /hello/amy
expect_body '{"hello":"amy"}'
ask 200 '/hello/a%22b%5C%0A%C3%A9+%FF%ED%A0%80'
expect_body '{"hello":"a\"b\\\u000aé+\ufffd\ufffd\ufffd\ufffd"}'
if command -v python3 >/dev/null; then python3 -m json.tool body >/dev/null || fail "that is no JSON"; fi
ask 200 /healthz
ask 404 /nowhere
ask 404 /hello/
ask 404 /hello/a/b
ask 405 /hello/amy -X DELETE
expect_in head '^Allow: GET, HEAD, OPTIONS'
ask 405 /notes/x -X DELETE
expect_in head '^Allow: GET, HEAD, OPTIONS, PUT'
ask 200 /hello/amy --head
[ ! -s body ] || expect_not_in body amy

ask 404 /notes/one
ask 201 /notes/one -X PUT --data-binary 'first'
ask 204 /notes/one -X PUT --data-binary 'second'
ask 200 /notes/one
expect_body '{"note":"second"}'
head -c 70000 /dev/zero >large
ask 413 /notes/large -X PUT --data-binary @large

ask 200 /primes/1000
expect_body '{"below":1000,"primes":168}'
ask 400 /primes/many
ask 400 /primes/99999999999

ask 200 /bytes/1000000
[ "$(wc -c <body)" = 1000000 ] || fail "/bytes/1000000 has $(wc -c <body) bytes"
expect_in head '^Content-Length: 1000000'
ask 200 /bytes/0
[ ! -s body ] || fail "/bytes/0 has bytes"
ask 400 /bytes/many
# Parts make up the whole.
ask 200 /bytes/1000
mv body whole
ask 206 /bytes/1000 -r 0-99
expect_in head '^Content-Range: bytes 0-99/1000'
mv body part
ask 206 /bytes/1000 -r 100-
cat body >>part
cmp whole part || fail "the parts are not the whole"
ask 416 /bytes/1000 -r 1000-
expect_in head '^Content-Range: bytes \*/1000'
ask 206 /bytes/1000 -r 0-9 -H 'If-Range: "bytes-1000"'
ask 200 /bytes/1000 -r 0-9 -H 'If-Range: "other"'

ask 200 /files/ten.txt
expect_body 0123456789
tag=$(sed -nE 's/^ETag: (.*)\r$/\1/p' head)
ask 206 /files/ten.txt -r 2-4
expect_body 234
expect_in head '^Content-Range: bytes 2-4/10'
ask 304 /files/ten.txt -H "If-None-Match: $tag"
ask 416 /files/ten.txt -r 10-
ask 404 /files/none
ask 404 /files/../http_service --path-as-is

ask 200 /metrics
expect_in head '^Content-Type: text/plain; version=0\.0\.4'
expect_in body '^http_requests_total\{route="/hello/\{name\}",status="200"\} 3$'
expect_in body '^http_responses_total\{status="404"\} [1-9][0-9]*$'
expect_in body '^http_responses_total\{status="405"\} 2$'
expect_in body '^http_request_duration_seconds_count\{route="/primes/\{n\}"\} 3$'
expect_in body '^http_request_duration_seconds_bucket\{route="/primes/\{n\}",le="\+Inf"\} 3$'
expect_in body '^http_requests_in_flight 1$'
expect_in body '^http_connections [1-9][0-9]*$'
expect_in body '^eddy_loop_ticks_total [1-9][0-9]*$'
expect_in body '^eddy_loop_tick_seconds_bucket\{le="\+Inf"\} [1-9][0-9]*$'
# Every line is a comment or a sample, each family is typed, and buckets only grow.
awk '/^# (HELP|TYPE) [a-z_]+ ./ { if ($2 == "TYPE") typed[$3] = 1; next }
     !/^[a-z_]+(\{[^}]*\}?[^}]*\})? [0-9.e+-]+$/ { print "no sample: " $0; exit 1 }
     { name = $0; sub(/[{ ].*/, "", name); family = name; sub(/_(bucket|sum|count)$/, "", family)
       if (!(name in typed) && !(family in typed)) { print "no type: " $0; exit 1 }
       if (name ~ /_bucket$/) { series = $0; sub(/le=.*/, "", series)
           if (series == last && $NF + 0 < value) { print "less than before: " $0; exit 1 }
           last = series; value = $NF + 0 } }' body >wrong || fail "$(cat wrong)"

wait_for_line err '^127\.0\.0\.1 - - \[[^]]+ \+0000\] "GET /primes/1000 HTTP/1\.1" 200 28 "-" "curl/[^"]+"$'
expect_in err '"DELETE /hello/amy HTTP/1.1" 405 '

# What is computed keeps nobody waiting: this is answered while that runs. One after the other, so that there is always one, however
# long this script takes to look.
keep_computing() { while curl -sS --max-time 60 -o computed "$base/primes/10000000" 2>/dev/null; do :; done; }
keep_computing &
slow=$!
started+=("$slow")
for ((i = 0; i < 400; ++i)); do
    [ "$(metric http_requests_in_flight)" = 2 ] && break
    sleep 0.05
done
[ "$i" -lt 400 ] || fail "the slow request never began"
ask 200 /hello/meanwhile
kill "$slow"
wait "$slow" 2>/dev/null
kill -TERM "$pid"
finish
expect_status 143

# The end: it says so, serves on, lets the request that runs end, and takes no more.
start_service --drain 300
curl -sS --max-time 60 "$base/primes/2000000" >slow 2>&1 &
slow=$!
started+=("$slow")
for ((i = 0; i < 400; ++i)); do
    [ "$(metric http_requests_in_flight)" = 2 ] || [ -s slow ] && break
    sleep 0.05
done
kill -TERM "$pid"
for ((i = 0; i < 400; ++i)); do
    [ "$(curl -s -o body -w '%{http_code}' --max-time 60 "$base/healthz")" = 503 ] && break
    sleep 0.05
done
[ "$(cat body)" = '{"status":"ending"}' ] || fail "/healthz does not tell that the end is near"
ask 200 /hello/latecomer
wait "$slow" || fail "the request that ran did not end well: $?"
[ "$(cat slow)" = '{"below":2000000,"primes":148933}' ] || fail "the answer that was under way is '$(cat slow)'"
wait_for_line err '"GET /primes/2000000 HTTP/1.1" 200 '
wait_for_line err '"GET /hello/latecomer HTTP/1.1" 200 '
kill -TERM "$pid" # a second one ends it at once
finish
expect_status 143
curl -s -o body --max-time 5 "$base/" && fail "it still answers"

# With a drain time that passes it ends by itself: it takes no more, waits for the request that runs, as long as that takes, and says so in
# its log. The client goes on when it is told to, and much more is to come than the kernel takes meanwhile: it does not matter who is how fast.
large=100000000
begin_large_answer() { # $slow, who writes into a pipe that nobody reads before `rest_of_large_answer`
    exec 3< <(exec curl -sS --max-time 600 "$base/bytes/$large" 2>slow.log)
    slow=$!
    started+=("$slow")
    [ "$(dd bs=1 count=1 <&3 2>/dev/null | wc -c)" = 1 ] || fail "the large answer never began: $(cat slow.log)"
}
rest_of_large_answer() { # $had: bytes of it; $got: how the client ended
    had=$((1 + $(wc -c <&3)))
    exec 3<&-
    wait "$slow"
    got=$?
}
start_service --drain 1 --grace 300
begin_large_answer
kill -TERM "$pid"
for ((i = 0; i < 1200; ++i)); do
    curl -s -o body --max-time 60 "$base/healthz"
    [ "$?" = 7 ] && break # refused
    sleep 0.05
done
[ "$i" -lt 1200 ] || fail "it still takes connections"
kill -0 "$pid" || fail "it did not wait for the request that ran"
rest_of_large_answer
[ "$got" = 0 ] || fail "the large answer did not end well: $got: $(cat slow.log)"
[ "$had" = "$large" ] || fail "the large answer had $had bytes"
finish
expect_status 143
expect_in err "\"GET /bytes/$large HTTP/1.1\" 200 $large "

# What takes longer than the grace period is broken off: for a client that does not read it would wait for ever.
start_service --drain 0 --grace 0
begin_large_answer
kill -TERM "$pid"
finish
expect_status 143
rest_of_large_answer
case $got in
18 | 56) ;; # it ended too early, it was reset
*) fail "the client of an answer that was broken off ended with $got: $(cat slow.log)" ;;
esac
[ "$had" -lt "$large" ] || fail "an answer came although it was broken off"

# A log that nobody reads is no reason to stop.
for drain in 0 1; do
    rm -f out
    "$program" --port 0 --drain "$drain" >out 2> >(exec sleep 0.01) </dev/null &
    pid=$!
    started+=("$pid")
    wait_for_line out '^READY$'
    base=http://127.0.0.1:$(sed -nE '1s/^PORT ([0-9]+)$/\1/p' out)
    for i in 1 2 3; do ask 200 "/hello/$i"; done
    kill -TERM "$pid"
    finish
    expect_status 143
done

usage_error() {
    run "${@:2}"
    expect_status 2
    expect_in err "$1"
}
usage_error '^http_service: --port is missing$' --drain 1
usage_error "^http_service: --port: '99999' is no number from 0 to 65535\$" --port 99999
usage_error "^http_service: '--grace' needs a value" --port 0 --grace
usage_error "^http_service: there is no option '--frobnicate'\$" --frobnicate 1
start_service
mv out out.first; first=$pid
run --port "$port"
expect_status 1
expect_in err "bind to 127\.0\.0\.1:$port: Address already in use"
kill -TERM "$first"
