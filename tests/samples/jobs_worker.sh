#!/usr/bin/env bash
# jobs_worker and jobs_send over a file: results, failures, usage errors, and workers that are killed at any moment.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program jobs_send
sender=$program
program jobs_worker
url=sqlite:$workdir/jobs.db

run --concurrency 2
expect_status 2
expect_in err '^jobs_worker: --url is missing$'
run --url amqp://localhost
expect_status 1
expect_in err "'amqp:' is no broker"

start_worker() {
    start --url "$url" --concurrency 2 --visibility 1
    wait_for_line out '^ready$'
}
send() { timeout 60 "$sender" --url "$url" "$@" 2>send.err; }

start_worker
[ "$(send tasks.add 2 3)" = 5 ] || fail "2 + 3 is '$(send tasks.add 2 3)'"
[ "$(send --kwargs '{"x": 1, "y": 2.5}' tasks.add)" = 3.5 ] || fail "keyword arguments do not arrive"
send tasks.boom && fail "tasks.boom has not failed"
expect_in send.err '^jobs_send: ValueError: bad thing, 42$'
send tasks.nowhere && fail "an unknown task has not failed"
expect_in send.err '^jobs_send: NotRegistered: tasks.nowhere$'
send tasks.add '"x' && fail "what is no JSON was sent"
expect_in send.err "is no JSON"
[ "$(send tasks.flaky 1)" = '"ok after 1"' ] || fail "tasks.flaky is not tried again"

# Workers that are killed while they work: every job is there in the end.
for n in $(seq 20); do send --no-wait --id "job-$n" tasks.slow 0.2 >/dev/null || fail "job $n was not sent"; done
for _ in 1 2 3; do
    sleep 0.5
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    start_worker
done
cat >wait_for_jobs.sh <<'WAIT'
for n in $(seq 20); do "$1" --url "$2" --result "job-$n" >/dev/null || exit 1; done
WAIT
timeout 60 bash wait_for_jobs.sh "$sender" "$url" || fail "a job was lost"

kill -TERM "$pid"
finish
expect_status 0
