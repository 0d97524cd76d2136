#!/usr/bin/env bash
# Jobs a second of samples/jobs_worker over Redis, with results, late acknowledgements and atomic claims.
#
#   tests/bench/jobs.sh FOLDER-OF-THE-SAMPLES [JOBS] [TASK] [CONCURRENCY]     default: 20000 tasks.noop 64
#
# The queue is filled first, then the worker starts; the time is from the first message that is gone to the last that is
# acknowledged. Needs redis-server, and Debian's python3-redis.
set -euo pipefail
samples=$(cd "${1:?usage: $0 FOLDER-OF-THE-SAMPLES [JOBS] [TASK] [CONCURRENCY]}" && pwd)
jobs=${2:-20000} task=${3:-tasks.noop} concurrency=${4:-64}
work=$(mktemp -d)
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >"$work/redis.log" 2>&1 &
redis=$!
trap 'kill "$redis" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
until grep -q 'Ready to accept' "$work/redis.log"; do sleep 0.1; done

/usr/bin/python3 - "$port" "$jobs" "$task" "$concurrency" "$samples/jobs_worker" <<'PYTHON'
import base64, json, os, subprocess, sys, time, uuid
import redis
port, jobs, task, concurrency, worker = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
r, results = redis.Redis(port=port, db=0), redis.Redis(port=port, db=1)
body = base64.b64encode(json.dumps([[], {}, {'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}]).encode()).decode()
def message():
    id = str(uuid.uuid4())
    return json.dumps({'body': body, 'content-encoding': 'utf-8', 'content-type': 'application/json',
        'headers': {'lang': 'py', 'task': task, 'id': id, 'eta': None, 'expires': None, 'group': None, 'retries': 0, 'timelimit': [None, None],
                    'root_id': id, 'parent_id': None, 'argsrepr': '()', 'kwargsrepr': '{}', 'origin': 'bench'},
        'properties': {'correlation_id': id, 'reply_to': '', 'delivery_mode': 2, 'delivery_info': {'exchange': '', 'routing_key': 'celery'},
                       'priority': 0, 'body_encoding': 'base64', 'delivery_tag': str(uuid.uuid4())}})
for start in range(0, jobs, 1000):
    p = r.pipeline(transaction=False)
    for _ in range(min(1000, jobs - start)): p.lpush('celery', message())
    p.execute()
url = 'redis://127.0.0.1:%d' % port
w = subprocess.Popen([worker, '--url', url + '/0', '--results', url + '/1', '--concurrency', concurrency], stdout=subprocess.DEVNULL)
left = lambda: r.llen('celery') + r.hlen('unacked')
while r.llen('celery') == jobs: time.sleep(0.002)
begin, first = time.perf_counter(), left()
while left() > 0: time.sleep(0.01)
end = time.perf_counter()
cpu = sum(int(x) for x in open('/proc/%d/stat' % w.pid).read().rsplit(')', 1)[1].split()[11:13]) / os.sysconf('SC_CLK_TCK')
w.terminate(); w.wait()
print('%s, concurrency %s: %.0f jobs/s (%d in %.2f s), %.0f us CPU of the worker each, results stored %d' %
      (task, concurrency, first / (end - begin), first, end - begin, cpu / jobs * 1e6, results.dbsize()))
PYTHON
