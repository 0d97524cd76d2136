# The measuring of jobs.sh: PORT WORKER-PROGRAM [ROUNDS] [WORKER...]
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import uuid

import redis

port, program = int(sys.argv[1]), sys.argv[2]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
task, concurrency = os.environ.get('EDDY_JOBS_TASK', 'tasks.noop'), os.environ.get('EDDY_JOBS_CONCURRENCY', '64')
url = 'redis://127.0.0.1:%d' % port
broker, results, rq = (redis.Redis(port=port, db=n) for n in (0, 1, 2))
TICKS = os.sysconf('SC_CLK_TCK')

with open('peer_tasks.py', 'w') as f: f.write('''
from celery import Celery
app = Celery('peer_tasks', broker='%s/0', backend='%s/1')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'], task_acks_late=True)
@app.task(name='tasks.noop')
def noop(): return None
''' % (url, url))
with open('rqtasks.py', 'w') as f: f.write('def noop(): return None\n')


def celery_message():
    id = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([[], {}, {'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}]).encode()).decode()
    return json.dumps({
        'body': body, 'content-encoding': 'utf-8', 'content-type': 'application/json',
        'headers': {'lang': 'py', 'task': task, 'id': id, 'eta': None, 'expires': None, 'group': None, 'retries': 0, 'timelimit': [None, None],
                    'root_id': id, 'parent_id': None, 'argsrepr': '()', 'kwargsrepr': '{}', 'origin': 'bench'},
        'properties': {'correlation_id': id, 'reply_to': '', 'delivery_mode': 2, 'delivery_info': {'exchange': '', 'routing_key': 'celery'},
                       'priority': 0, 'body_encoding': 'base64', 'delivery_tag': str(uuid.uuid4())}})


def fill_celery(jobs):
    for start in range(0, jobs, 1000):
        p = broker.pipeline(transaction=False)
        for _ in range(min(1000, jobs - start)): p.lpush('celery', celery_message())
        p.execute()
    broker.sadd('_kombu.binding.celery', 'celery\x06\x16\x06\x16celery')


def fill_rq(jobs):
    from rq import Queue
    from rq.serializers import JSONSerializer
    q = Queue('default', connection=rq, serializer=JSONSerializer)
    for _ in range(jobs): q.enqueue('rqtasks.noop')


# The peers take a job from its list in one step and note that they have it in another: between the two it is nowhere.
def left_celery(jobs): return broker.llen('celery') + broker.hlen('unacked') or jobs - results.dbsize()
def left_rq(jobs): return jobs - rq.zcard('rq:finished:default')


def processor_seconds(pid):
    with open('/proc/%d/stat' % pid) as f: fields = f.read().rsplit(')', 1)[1].split()
    with open('/proc/%d/task/%d/children' % (pid, pid)) as f: children = f.read().split()
    return sum(int(x) for x in fields[11:15]) / TICKS + sum(processor_seconds(int(c)) for c in children)


def rq_command(worker):
    return [sys.executable, '-m', 'rq.cli', 'worker', '-q', '-w', 'rq.' + worker, '-u', url + '/2', '-S', 'rq.serializers.JSONSerializer', '-P', '.', 'default']


WORKERS = {  # jobs, how they are enqueued and counted, the worker
    'eddy': (20000, fill_celery, left_celery, [program, '--url', url + '/0', '--results', url + '/1', '--concurrency', concurrency]),
    'celery prefork': (3000, fill_celery, left_celery, [sys.executable, '-m', 'celery', '-A', 'peer_tasks', 'worker', '-c', str(os.cpu_count()), '-l', 'ERROR']),
    'celery solo': (3000, fill_celery, left_celery, [sys.executable, '-m', 'celery', '-A', 'peer_tasks', 'worker', '--pool=solo', '-l', 'ERROR']),
    'eddy --rq': (10000, fill_rq, left_rq, [program, '--rq', '--url', url + '/2', '--concurrency', concurrency]),
    'rq SimpleWorker': (1500, fill_rq, left_rq, rq_command('SimpleWorker')),
    'rq Worker': (300, fill_rq, left_rq, rq_command('Worker')),
}


def measure(name):
    jobs, fill, left, command = WORKERS[name]
    broker.flushall()
    fill(jobs)
    w = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while left(jobs) == jobs and w.poll() is None: time.sleep(.002)
        begin, first, used = time.perf_counter(), left(jobs), processor_seconds(w.pid)
        while left(jobs) > 0 and w.poll() is None: time.sleep(.005)
        end = time.perf_counter()
        if w.poll() is not None: sys.exit('%s: the worker has ended' % name)
        used = processor_seconds(w.pid) - used
    finally:
        w.terminate()
        w.wait()
    return first / (end - begin), used / first * 1e6


names = sys.argv[4:] or list(WORKERS)
rates, costs = {n: [] for n in names}, {n: [] for n in names}
for _ in range(rounds):
    for n in names:
        rate, cost = measure(n)
        rates[n].append(rate)
        costs[n].append(cost)
what = {'eddy': '**eddy**, Celery protocol', 'eddy --rq': '**eddy**, RQ protocol', 'celery prefork': 'Celery, prefork', 'celery solo': 'Celery, solo', 'rq SimpleWorker': 'RQ, SimpleWorker', 'rq Worker': 'RQ, Worker'}
peer = {'eddy': 'celery prefork', 'celery solo': 'celery prefork', 'eddy --rq': 'rq Worker', 'rq SimpleWorker': 'rq Worker'}
print('## Jobs over Redis\n')
print('Jobs that do nothing, with their results, acknowledged when they have run; ours are claimed in one step, which the peers do not. Ratios are to')
print('Celery\'s and RQ\'s usual worker. The medians of %d rounds; repeated by `tests/bench/jobs.sh FOLDER-OF-THE-SAMPLES`.\n' % rounds)
print('| worker | jobs/s ratio | jobs/s | of the rounds | its CPU, µs a job |')
print('|---|--:|--:|--:|--:|')
for n in names:
    median, base = statistics.median(rates[n]), rates.get(peer.get(n, n))
    ratio = '%.1f' % (median / statistics.median(base)) if base else ''
    print('| %s | %s | %.0f | %s | %.0f |' % (what[n], ratio, median, ' '.join('%.0f' % r for r in sorted(rates[n])), statistics.median(costs[n])))
