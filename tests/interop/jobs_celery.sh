#!/usr/bin/env bash
# samples/jobs_worker in a Celery cluster: Celery's own client, remote control and worker, over a real Redis.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program jobs_send
sender=$program
program jobs_worker
start_redis celery

start_worker() {
    start --url "$url/0" --results "$url/1" --concurrency 4 --name one@interop --visibility 5 "$@"
    wait_for_line out '^ready$'
}
python_says() {
    "$python" "$here/jobs_celery.py" "$url" "$@" >python.out 2>&1 || { cat python.out >&2; fail "Celery's client is not content"; }
}

# Jobs that wait, in their lists; then a worker takes them.
python_says priorities
start_worker
python_says results times workflows control malformed

# Killed in the middle of a job: it is another worker's when the lease is over.
"$sender" --url "$url/0" --results "$url/1" --id lease-1 --no-wait tasks.slow 3 >sent || fail "jobs_send cannot send"
sleep 1
kill -KILL "$pid"
wait "$pid" 2>/dev/null
start_worker
python_says wait_redelivered

# A warm shutdown: what runs ends, and the status is 0.
"$sender" --url "$url/0" --results "$url/1" --id warm-1 --no-wait tasks.slow 2 >sent || fail "jobs_send cannot send"
sleep 0.5
kill -TERM "$pid"
finish
expect_status 0
[ "$("$sender" --url "$url/0" --results "$url/1" --no-wait tasks.noop | wc -l)" = 1 ] || fail "jobs_send says no id"

# Python's worker runs what C++ sends.
cat >application.py <<'PYTHON'
from celery import Celery
app = Celery('application')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'])
@app.task(name='py.add')
def add(x, y): return x + y
@app.task(name='py.boom')
def boom(): raise KeyError('nothing')
PYTHON
"$python" -m celery -A application -b "$url/0" --result-backend "$url/1" worker --pool=solo -Q python -l WARNING >celery.log 2>&1 &
started+=("$!")
answer=$(timeout 60 "$sender" --url "$url/0" --results "$url/1" --queue python py.add 2 3 2>err) || fail "Celery's worker does not answer: $(tail -3 celery.log)"
[ "$answer" = 5 ] || fail "py.add says '$answer'"
timeout 60 "$sender" --url "$url/0" --results "$url/1" --queue python py.boom >out 2>err && fail "py.boom has not failed"
expect_in err "KeyError: nothing"
exit 0
