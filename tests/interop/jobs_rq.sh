#!/usr/bin/env bash
# samples/jobs_worker and samples/jobs_send beside RQ's own client and worker, over a real Redis.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program jobs_send
sender=$program
program jobs_worker
start_redis rq
url+=/0

cp "$here/jobs_rq.py" rqtasks.py # the functions of its first part are the module's
start_worker() {
    start --rq --url "$url" --queue high --queue default --concurrency 4 --visibility 3 "$@"
    wait_for_line out '^ready$'
}
python_says() {
    "$python" rqtasks.py "$url" "$@" >python.out 2>&1 || { cat python.out >&2; fail "RQ's client is not content"; }
}
send() { timeout 60 "$sender" --rq --url "$url" "$@"; }

# Python enqueues, C++ serves: jobs that wait already, then a worker.
python_says queued
start_worker --name one
python_says results later pickled workers commands
expect_in out '^on_ok 5$'
expect_in out '^on_bad ValueError\["bad thing",42\]$'
expect_in err 'ghost'

# Killed in the middle of a job: it has failed, or runs again, when its claim has ended and another worker looks.
send --id lease-1 --no-wait rqtasks.slow 60 >sent || fail "jobs_send cannot send"
send --id lease-2 --no-wait --retries 1 rqtasks.slow 3 >sent || fail "jobs_send cannot send"
python_says leased
kill -KILL "$pid"
wait "$pid" 2>/dev/null
start_worker --name two
python_says abandoned

# A warm shutdown: what runs ends, and the status is 0.
send --id warm-1 --no-wait rqtasks.slow 2 >sent || fail "jobs_send cannot send"
python_says warm
kill -TERM "$pid"
finish
expect_status 0
python_says ended

# C++ enqueues, Python serves.
"$python" -m rq.cli worker --with-scheduler -u "$url" -S rq.serializers.JSONSerializer -P . python >rq.log 2>&1 &
started+=("$!")
expect_answer() {
    local wanted=$1 answer
    shift
    answer=$(send --queue python "$@" 2>err) || fail "RQ's worker does not answer $*: $(tail -n 3 err rq.log)"
    [ "$answer" = "$wanted" ] || fail "$* says '$answer' and not '$wanted'"
}
expect_failure() {
    local wanted=$1
    shift
    send --queue python "$@" >out 2>err && fail "$* has not failed"
    expect_in err "$wanted"
}
expect_answer 5 --id py-add rqtasks.add 2 3
expect_answer 5 --kwargs '{"y": 3}' rqtasks.add 2
expect_answer null rqtasks.noop
expect_answer 7 --depends-on py-add rqtasks.add 3 4
expect_answer 3 --countdown 1 rqtasks.add 1 2
expect_answer '"ok"' --id py-retry --retries 2 --interval 1 rqtasks.second_time
expect_failure "ValueError: \('bad thing', 42\)" --id py-boom rqtasks.boom
expect_failure "JobTimeoutException: Task exceeded maximum timeout value \(1 seconds\)" --time-limit 1 rqtasks.slow 30
expect_failure "AttributeError: module 'rqtasks' has no attribute" rqtasks.nowhere
send --queue python --id py-stop --no-wait rqtasks.slow 60 >sent || fail "jobs_send cannot send"
python_says stoppable
send --cancel py-stop || fail "jobs_send cannot cancel"
send --result py-stop >out 2>err && fail "py-stop was not stopped"
expect_in err 'revoked: stopped'
python_says from_cpp
exit 0
