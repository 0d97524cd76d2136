# RQ's client enqueues jobs to workers that are killed all the time; see jobs_chaos.sh. What is checked in the end:
#  - each job has finished, with the right result, once; a job without retries may have failed instead, as abandoned;
#  - nothing is queued, started, scheduled or deferred any more;
#  - there were no more retries than jobs that ran in workers when they were killed: so many as they run at a time.
import random
import sys
import threading
import time

import redis
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs_chaos_workers import Workers

url, program, seed, count = sys.argv[1] + '/0', sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONCURRENCY, LEASE = 4, 6
dice = random.Random(seed)
connection = redis.Redis.from_url(url)
queue = Queue('default', connection=connection, serializer=JSONSerializer)
REGISTRIES = ('wip', 'scheduled', 'deferred')


def fail(text, *details):
    print('FAILED: ' + text)
    for line in list(details)[:20]: print('   ', line)
    sys.exit(1)


def make_plan():
    """What is enqueued, as functions, and id -> (status, value)."""
    sends, expected = [], {}

    def job(id, status, value, name, *args, **options):
        expected[id] = (status, value)
        sends.append(lambda: queue.enqueue('rqtasks.' + name, *args, job_id=id, **options))

    for n in range(count):
        kind, seconds = dice.random(), round(dice.uniform(.02, .2), 3)
        if kind < .1: job('boom-%d' % n, 'failed', None, 'boom')
        elif kind < .3: job('add-%d' % n, 'finished', n + 1, 'add', n, 1, retry=Retry(max=20))
        elif kind < .4 and n: job('after-%d' % n, 'finished', n, 'add', n, 0, retry=Retry(max=20), depends_on=dice.choice([i for i, e in expected.items() if e[0] == 'finished'] or [None]))
        else: job('slow-%d' % n, 'finished', seconds, 'slow', seconds, retry=Retry(max=20))
    return sends, expected


def over():
    return connection.zcard('rq:finished:default') + connection.zcard('rq:failed:default')


def kill_until_done(sends, expected, workers):
    """After each 5 to 20 jobs that have ended, as long as there are some to come."""
    sender = threading.Thread(target=lambda: [send() for send in sends], daemon=True)
    sender.start()
    until, next_kill, done = time.time() + 240, dice.randint(5, 20), 0
    while done < len(expected):
        if done >= next_kill and done < .9 * count:
            next_kill = done + dice.randint(5, 20)
            workers.kill()
        if time.time() > until:
            fail('%d of %d jobs have ended' % (done, len(expected)), *[i for i in expected if Job.fetch(i, connection=connection, serializer=JSONSerializer).get_status() not in ('finished', 'failed')])
        time.sleep(.005)
        done = over()
    sender.join()


def check_results(expected, kills):
    wrong, retries = [], 0
    for id, (status, value) in expected.items():
        job = Job.fetch(id, connection=connection, serializer=JSONSerializer)
        ends = [r.type.name for r in job.results()]
        if job.get_status() != status or job.return_value() != value: wrong.append((id, job.get_status(), job.return_value()))
        if status == 'finished' and ends.count('SUCCESSFUL') != 1: wrong.append((id, ends))
        last = (job.latest_result().exc_string or '').splitlines()[-1:] if status == 'failed' else []
        if last and 'ValueError' not in last[0] and 'AbandonedJobError' not in last[0]: wrong.append((id, last))
        retries += int(connection.hget(job.key, 'number_of_retries') or 0)
    if wrong: fail('these have ended as they should not', *wrong)
    if retries > CONCURRENCY * kills: fail('%d retries, and %d workers were killed' % (retries, kills))
    return retries


began = time.time()
sends, expected = make_plan()
workers = Workers(program, ['--rq', '--url', url, '--concurrency', str(CONCURRENCY), '--visibility', str(LEASE)], 3, dice)
try:
    kill_until_done(sends, expected, workers)
    retries = check_results(expected, len(workers.died))
    workers.end()
    left = [connection.llen('rq:queue:default')] + [connection.zcard('rq:%s:default' % r) for r in REGISTRIES]
    if any(left): fail('queued, wip, scheduled, deferred: %r' % left)
finally:
    workers.kill_all()
print('%d jobs, %d workers killed, %d jobs ran again, in %.0f s' % (len(expected), len(workers.died), retries, time.time() - began))
