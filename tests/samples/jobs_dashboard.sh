#!/usr/bin/env bash
# The dashboard: what its API and its stream say of real workers, what its buttons do, whom it refuses, and that it survives Redis.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program jobs_send
sender=$program
program jobs_worker
worker=$program
program jobs_dashboard
command -v redis-server >/dev/null || skip "there is no redis-server"
command -v curl >/dev/null || skip "there is no curl"
python=$(python3 -c 'import sys; print(sys.executable)') || skip "there is no python3"

run --port 0
expect_status 2
expect_in err '^jobs_dashboard: --url is missing$'
run --url sqlite:x.db
expect_status 2
expect_in err 'with Redis only'
run --url redis://127.0.0.1:1/0 --port 99999
expect_status 2
run --url redis://127.0.0.1:1/0 --frobnicate 1
expect_status 2
expect_in err "there is no option '--frobnicate'"
run --help
expect_status 0
expect_in out '^usage: jobs_dashboard'

redis_port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_redis() {
    rm -f redis.log
    redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
    redis=$!
    started+=("$redis")
    wait_for_line redis.log 'eady to accept connections'
}
url=redis://127.0.0.1:$redis_port/0
start_worker() { # ARGUMENT...
    rm -f worker.out
    "$worker" --url "$url" --concurrency 2 --name one@test "$@" >worker.out 2>worker.err </dev/null &
    worker_pid=$!
    started+=("$worker_pid")
    wait_for_line worker.out '^ready$'
}
send() { timeout 60 "$sender" --url "$url" "$@"; }

# ask STATUS PATH CURL-OPTION...: the body is in `body`, the headers in `head`
ask() {
    local got
    got=$(curl -sS --max-time 60 -o body -D head -w '%{http_code}' "${@:3}" "$base$2") || fail "curl $2: $?"
    [ "$got" = "$1" ] || fail "$2 gave $got, expected $1: $(head -c 300 body)"
}
post=(-X POST -H 'X-Dashboard: 1')
# says EXPRESSION: Python's value of it, in which `s` is the state
says() { curl -sS --max-time 60 "$base/api/state" | "$python" -c 'import json, sys; s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
# wait_until EXPRESSION: at most a minute, or two
wait_until() {
    local end=$((SECONDS + 90))
    while [ "$SECONDS" -lt "$end" ]; do
        [ "$(says "$1" 2>says.err)" = True ] && return
        sleep 0.2
    done
    fail "waited in vain for: $1; $(says '{k: v for k, v in s.items() if k != "throughput"}') $(cat says.err)"
}

# It begins without Redis, and says so.
start --url "$url" --port 0 --heartbeat 1
wait_for_line out '^dashboard at http://127\.0\.0\.1:[0-9]+/$'
base=$(sed -nE 's|^dashboard at (http://.*)/$|\1|p' out)
wait_until 's["connected"] is False and "refused" in s["reason"].lower()'
ask 200 /healthz
expect_in body '"connected":false'
start_redis
wait_until 's["connected"] is True'

# The page and its parts; nothing of it comes from elsewhere.
ask 200 /
expect_in head '^Content-Security-Policy: default-src .none.;'
expect_in head '^X-Content-Type-Options: nosniff'
expect_in body '<title>Jobs</title>'
expect_not_in body '(src|href)="https?:'
ask 200 /page.css
expect_in head '^Content-Type: text/css'
expect_not_in body '@import|url\('
ask 200 /page.js
expect_in head '^Content-Type: text/javascript'
expect_not_in body 'innerHTML|insertAdjacentHTML|document\.write|eval\('
ask 404 /nowhere
ask 404 /api/jobs/nobody

# Queues without workers; then a worker that was not told to send events is asked to.
send --no-wait tasks.add 1 2 >id || fail "jobs_send cannot send"
send --no-wait --priority 6 tasks.add 3 4 >id || fail "jobs_send cannot send"
wait_until '[(q["name"], q["length"], q["workers"]) for q in s["queues"]] == [("celery", 2, 0)]'
start_worker
wait_until '[(w["name"], w["alive"], w["queues"], w["concurrency"]) for w in s["workers"]] == [("one@test", True, ["celery"], 2)]'
wait_until '[(q["length"], q["workers"]) for q in s["queues"]] == [(0, 1)]'
[ "$(send tasks.add 2 3)" = 5 ] || fail "2 + 3 is not 5"
wait_until 's["totals"]["succeeded"] >= 1 and sum(s["throughput"]["succeeded"]) >= 1 and s["latency"]["run"]["count"] >= 1'

# A job that fails: exception, traceback, and it can be sent again.
send --no-wait --id 'fails-1/?"<b>' tasks.add '"x"' 1 >id || fail "jobs_send cannot send"
wait_until 's["failed"] != [] and (s["failed"][0]["id"], s["failed"][0]["name"], s["failed"][0]["queue"]) == ("fails-1/?\"<b>", "tasks.add", "celery")'
wait_until 's["failed"][0]["args"] == "('"'x'"', 1)" and s["failed"][0]["has_traceback"] is True and s["failed"][0]["why_not"] == "" and s["failed"][0]["sent_again_as"] == ""'
wait_until 's["failed"][0]["exception"] == "TypeError('"'unsupported operand type(s) for +'"')"' # as Python writes it
escaped=fails-1%2F%3F%22%3Cb%3E
ask 200 "/api/jobs/$escaped"
expect_in body '"state":"failed"'
expect_in body '"traceback":'
ask 200 "/api/jobs/$escaped/retry" "${post[@]}"
again=$("$python" -c 'import json; print(json.load(open("body"))["id"])')
wait_until "sorted(f['id'] for f in s['failed']) == sorted(['fails-1/?\"<b>', '$again']) and s['failed'][1]['sent_again_as'] == '$again'"
ask 409 "/api/jobs/$escaped/retry" "${post[@]}"
expect_in body 'sent again already'
ask 404 /api/jobs/nobody/retry "${post[@]}"
ask 404 /api/jobs/nobody/revoke "${post[@]}"

# A name that is HTML is text everywhere.
send --no-wait '<script>alert(1)</script>' '"</script><img src=x>"' >id || fail "jobs_send cannot send"
wait_until 's["failed"][0]["name"] == "<script>alert(1)</script>"'
ask 200 /api/state
expect_in head '^Content-Type: application/json'

# A job that runs, as the stream tells it, and is revoked.
curl -sS -N --max-time 900 -D stream.head "$base/events" >stream 2>stream.err &
stream=$!
started+=("$stream")
wait_for_line stream '^event: state$'
expect_in stream.head '^Content-Type: text/event-stream'
expect_in stream '^retry: 2000$'
expect_in stream '^id: [0-9a-f]{8}-[0-9]+$'
expect_in stream '^data: \{.*\}$'
send --no-wait --id long-1 tasks.slow 300 >id || fail "jobs_send cannot send"
wait_for_line stream '"id":"long-1","kwargs":"\{\}","name":"tasks.slow".*"state":"started"'
wait_for_line stream '^: still here$'
wait_until '[(j["id"], j["state"], j["worker"]) for j in s["running"]["jobs"]] == [("long-1", "started", "one@test")] and s["unacked"] == 1'

ask 403 /api/jobs/long-1/revoke -X POST
expect_in body 'X-Dashboard'
ask 403 /api/jobs/long-1/revoke "${post[@]}" -H 'Origin: http://evil.example'
ask 403 /api/jobs/long-1/revoke "${post[@]}" -H 'Sec-Fetch-Site: cross-site'
ask 403 /api/state -H 'Host: evil.example'
ask 405 /api/jobs/long-1/revoke
wait_until 's["running"]["started"] == 1 and s["totals"]["revoked"] == 0'
ask 200 /api/jobs/long-1/revoke "${post[@]}" -H "Origin: $base" -H 'Sec-Fetch-Site: same-origin'
wait_until 's["running"]["started"] == 0 and s["totals"]["revoked"] == 1'
send --result long-1 2>revoked.err && fail "long-1 was not revoked"
expect_in revoked.err 'revoked: terminated'

# A stream that comes back is told only what it does not know; one of another run everything.
for _ in 1 2 3 4 5; do
    last=$(curl -sS -N --max-time 1 "$base/events" 2>/dev/null | sed -nE 's/^id: //p' | tail -1)
    curl -sS -N --max-time 1 -H "Last-Event-ID: $last" "$base/events" >resumed 2>/dev/null
    expect_in resumed '^retry: 2000$'
    first=$(sed -nE 's/^id: //p' resumed | head -1)
    [ "$first" != "$last" ] || fail "event $last was sent twice"
done
curl -sS -N --max-time 1 -H 'Last-Event-ID: another-7' "$base/events" >resumed 2>/dev/null
expect_in resumed '^event: state$'

# Redis goes, and comes back.
kill -TERM "$redis"
wait "$redis" 2>/dev/null
wait_until 's["connected"] is False and s["reason"] != ""'
wait_for_line stream '"connected":false'
ask 503 "/api/jobs/$again/retry" "${post[@]}"
expect_in body 'no connection'
start_redis
wait_until 's["connected"] is True'
wait_until '[w["alive"] for w in s["workers"]] == [True]'
before=$(says 's["totals"]["succeeded"]')
[ "$(send tasks.add 20 3)" = 23 ] || fail "the worker does not come back"
wait_until "s['totals']['succeeded'] > $before"
ask 200 "/api/jobs/$again/retry" "${post[@]}"

# A worker that goes says so; one that is killed is missed.
kill -TERM "$worker_pid"
wait "$worker_pid" 2>/dev/null
wait_until '[w["alive"] for w in s["workers"]] == [False]'
start_worker --events
wait_until '[w["alive"] for w in s["workers"]] == [True]'
send --no-wait --id long-2 tasks.slow 300 >id || fail "jobs_send cannot send"
wait_until '[j["id"] for j in s["running"]["jobs"]] == ["long-2"]'
kill -KILL "$worker_pid"
wait "$worker_pid" 2>/dev/null
wait_until '[w["alive"] for w in s["workers"]] == [False] and s["running"]["jobs"] == []'

# It ends in good order, and its streams with it.
kill -TERM "$pid"
finish
expect_status 143
[ ! -s err ] || fail "it says something on stderr"
wait "$stream" || fail "the stream was broken off: $?"

# One that only shows.
start --url "$url" --port 0 --read-only
wait_for_line out '^dashboard at '
base=$(sed -nE 's|^dashboard at (http://.*)/$|\1|p' out)
wait_until 's["read_only"] is True and s["connected"] is True'
ask 403 /api/jobs/x/retry "${post[@]}"
expect_in body 'read-only'
kill -TERM "$pid"
finish
expect_status 143
