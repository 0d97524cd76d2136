#!/usr/bin/env bash
# samples/jobs_worker, samples/jobs_send and Celery's own worker in one cluster, seen by Celery's own tools.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program jobs_send
sender=$program
program jobs_worker
start_redis celery

cat >application.py <<'PYTHON'
import os
from celery import Celery
app = Celery('application', broker=os.environ['CLUSTER_URL'] + '/0', backend=os.environ['CLUSTER_URL'] + '/1')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'], broker_transport_options={'visibility_timeout': 5})
@app.task(name='py.add')
def add(x, y): return x + y
@app.task(name='py.boom')
def boom(): raise KeyError('nothing')
@app.task(name='py.request', bind=True)
def request(self): return [self.request.id, self.request.retries, list(self.request.timelimit), self.request.delivery_info['priority']]
@app.task(name='tasks.slow')
def slow(s): return 'run by Python'
PYTHON
CLUSTER_URL=$url "$python" "$here/jobs_celery_cluster.py" "$url" "$program" "$sender" >python.out 2>&1 || { cat python.out >&2; fail "the cluster is not as it should be"; }
exit 0
