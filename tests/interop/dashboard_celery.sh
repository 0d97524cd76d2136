#!/usr/bin/env bash
# samples/jobs_dashboard looks at Celery's own worker: events that it was not told to send, its answers, revoke and retry.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/program.sh
. "$here/../lib/program.sh"
program jobs_send
sender=$program
program jobs_dashboard
command -v redis-server >/dev/null || skip "there is no redis-server"
command -v curl >/dev/null || skip "there is no curl"
python=/usr/bin/python3
"$python" -c 'import celery, redis' 2>/dev/null || skip "there is no Celery for $python"

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
redis=$!
started+=("$redis")
wait_for_line redis.log 'eady to accept connections'
url=redis://127.0.0.1:$port
cat >application.py <<'PYTHON'
import time
from celery import Celery
app = Celery('application')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'], task_routes={}, worker_prefetch_multiplier=1)
@app.task(name='py.add')
def add(x, y, **more): return x + y
@app.task(name='py.sleep')
def sleep(s): time.sleep(s)
PYTHON
"$python" -m celery -A application -b "$url/0" --result-backend "$url/1" worker -E -c 2 -Q python -n snake@test -l WARNING >celery.log 2>&1 &
worker=$!
started+=("$worker")
start --url "$url/0" --results "$url/1" --queue python --port 0
wait_for_line out '^dashboard at '
base=$(sed -nE 's|^dashboard at (http://.*)/$|\1|p' out)
says() { curl -sS --max-time 60 "$base/api/state" | "$python" -c 'import json, sys; s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
wait_until() {
    local end=$((SECONDS + 90))
    while [ "$SECONDS" -lt "$end" ]; do
        [ "$(says "$1" 2>says.err)" = True ] && return
        sleep 0.2
    done
    fail "waited in vain for: $1; $(says '{k: v for k, v in s.items() if k != "throughput"}') $(cat says.err celery.log)"
}
send() { timeout 60 "$sender" --url "$url/0" --results "$url/1" --queue python "$@"; }

wait_until '[(w["name"], w["alive"], w["queues"], w["concurrency"], w["software"][:9]) for w in s["workers"]] == [("snake@test", True, ["python"], 2, "py-celery")]'
[ "$(send py.add 2 3)" = 5 ] || fail "Celery's worker does not answer"
wait_until 's["totals"]["succeeded"] == 1'
send --no-wait --id fails --kwargs '{"more": "it'"'"'s"}' py.add '"a\n\"é"' 1 >/dev/null || fail "jobs_send cannot send"
wait_until '[(f["name"], f["queue"], f["why_not"], f["exception"][:9], f["has_traceback"]) for f in s["failed"]] == [("py.add", "python", "", "TypeError", True)]'
[ "$(curl -sS --max-time 60 "$base/api/jobs/fails" | "$python" -c 'import json, sys; print("in add" in json.load(sys.stdin)["traceback"])')" = True ] || fail "there is no traceback"
curl -sS --max-time 60 -X POST -H 'X-Dashboard: 1' "$base/api/jobs/fails/retry" >sent
expect_in sent '"was":"fails"'
wait_until 'len(s["failed"]) == 2 and s["failed"][0]["args"] == s["failed"][1]["args"] and s["failed"][0]["kwargs"] == s["failed"][1]["kwargs"]'
wait_until '"é" in s["failed"][0]["args"]'

send --no-wait --id slow py.sleep 300 >/dev/null || fail "jobs_send cannot send"
wait_until '[(j["id"], j["name"], j["state"]) for j in s["running"]["jobs"]] == [("slow", "py.sleep", "started")]'
curl -sS --max-time 60 -X POST -H 'X-Dashboard: 1' "$base/api/jobs/slow/revoke" >sent
expect_in sent '"id":"slow"'
wait_until 's["running"]["jobs"] == [] and s["totals"]["revoked"] == 1'

kill -TERM "$worker"
wait_until '[w["alive"] for w in s["workers"]] == [False]'
kill -TERM "$pid"
finish
expect_status 143
[ ! -s err ] || fail "it says something on stderr"
kill -TERM "$redis"
wait "$redis" 2>/dev/null
exit 0
