# Twice in jobs_rq.sh: as the module rqtasks, whose functions RQ's worker runs, and as a program, RQ's own client against
# samples/jobs_worker. Each check prints a line; the first that fails ends it.
import os
import pickle
import subprocess
import sys
import time


def add(x, y): return x + y
def boom(): raise ValueError('bad thing', 42)
def noop(): return None
def on_ok(job, connection, result, *a, **k): print('on_ok', result)
def on_bad(job, connection, type, value, tb): print('on_bad', value)


def slow(s):
    time.sleep(s)
    return s


def second_time():
    from rq import get_current_job
    if get_current_job().retries_left > 1: raise RuntimeError('not yet')
    return 'ok'


def check(what, got, wanted):
    print(what, got)
    if got != wanted: sys.exit('%s: %r and not %r' % (what, got, wanted))


def wait(job, *states, seconds=20):
    for _ in range(seconds * 50):
        if job.get_status() in states: return job
        time.sleep(.02)
    sys.exit('%s is %s and not %s' % (job.id, job.get_status(), states))


def client():
    import redis
    from rq import Queue
    from rq.serializers import JSONSerializer
    global connection, queue, high, serializer
    serializer = JSONSerializer
    connection = redis.Redis.from_url(sys.argv[1])
    queue = Queue('default', connection=connection, serializer=JSONSerializer)
    high = Queue('high', connection=connection, serializer=JSONSerializer)


def fetch(id):
    from rq.job import Job
    return Job.fetch(id, connection=connection, serializer=serializer)


def queued():
    for i in range(3): queue.enqueue('rqtasks.slow', .01, job_id='q%d' % i)
    queue.enqueue('rqtasks.noop', job_id='front', at_front=True)
    check('in order', queue.job_ids, ['front', 'q0', 'q1', 'q2'])


def results():
    from rqtasks import on_bad, on_ok  # by the module's name, and not as __main__'s
    check('queued before', [wait(fetch('q%d' % i), 'finished').return_value() for i in range(3)], [.01] * 3)
    job = wait(queue.enqueue('rqtasks.add', 2, y=3, on_success=on_ok), 'finished')
    check('value', (job.return_value(), job.latest_result().type.name), (5, 'SUCCESSFUL'))
    job.refresh()
    check('times', (job.created_at <= job.enqueued_at <= job.started_at <= job.ended_at, job.worker_name), (True, 'one'))
    check('kept', 0 < connection.ttl(job.key) <= 500 and 0 < connection.ttl('rq:results:' + job.id) <= 500, True)
    check('registry', job.id in queue.finished_job_registry and job.id not in queue.started_job_registry, True)
    check('None', wait(queue.enqueue('rqtasks.noop'), 'finished').return_value(), None)
    check('a method', wait(queue.enqueue('rqtasks.Calc.mul', None, 6, 7), 'finished').return_value(), 42)
    odd = ['ü', None, 1.5, 2 ** 53 + 1, {'a': [True]}]
    jobs = [queue.enqueue('rqtasks.add', n, i) for i, n in enumerate([2 ** 53 + 1] * 50)]
    check('exact', [wait(j, 'finished').return_value() for j in jobs], [2 ** 53 + 1 + i for i in range(50)])
    check('nested', wait(queue.enqueue('rqtasks.slow', s=0, meta={'odd': odd}), 'finished').get_meta(), {'odd': odd})
    bad = wait(queue.enqueue('rqtasks.boom', on_failure=on_bad), 'failed')
    check('failure', bad.latest_result().exc_string.splitlines()[-1], "ValueError: ('bad thing', 42)")
    check('failed', (bad.id in queue.failed_job_registry, bad.get_status()), (True, 'failed'))
    check('unknown', 'NotRegistered: rqtasks.nowhere' in wait(queue.enqueue('rqtasks.nowhere'), 'failed').latest_result().exc_string, True)
    check('arguments', 'TypeError' in wait(queue.enqueue('rqtasks.add', 1), 'failed').latest_result().exc_string, True)
    late = wait(queue.enqueue('rqtasks.slow', 30, job_timeout=1), 'failed')
    check('timeout', late.latest_result().exc_string.splitlines()[-1], 'rq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (1 seconds)')
    gone = queue.enqueue('rqtasks.noop', result_ttl=0)
    while connection.exists(gone.key): time.sleep(.02)
    check('nothing kept', (connection.exists('rq:results:' + gone.id), gone.id in queue.finished_job_registry), (0, False))
    before = queue.enqueue('rqtasks.boom')
    wait(before, 'failed')
    before.requeue()
    while connection.xlen('rq:results:' + before.id) < 2: time.sleep(.02)
    check('requeued', (wait(before, 'failed').id in queue.failed_job_registry), True)


def later():
    from datetime import timedelta
    from rq import Retry
    from rq.job import Dependency
    began = time.time()
    job = wait(queue.enqueue_in(timedelta(seconds=2), 'rqtasks.add', 1, 1), 'finished')
    check('scheduled', (job.return_value(), 1 <= time.time() - began < 6), (2, True))
    again = queue.enqueue('rqtasks.boom', retry=Retry(max=2, interval=[1, 1]))
    wait(again, 'scheduled')
    check('waits', again.id in queue.scheduled_job_registry, True)
    wait(again, 'failed')
    again.refresh()
    check('retried', (again.retries_left, connection.hget(again.key, 'number_of_retries')), (0, b'2'))
    at_once = wait(queue.enqueue('rqtasks.boom', retry=Retry(max=3)), 'failed')
    check('at once', connection.hget(at_once.key, 'number_of_retries'), b'3')
    parent = queue.enqueue('rqtasks.slow', 1)
    child = high.enqueue('rqtasks.add', 2, 2, depends_on=parent)
    check('deferred', (child.get_status(), child.id in high.deferred_job_registry), ('deferred', True))
    check('dependent', wait(child, 'finished').return_value(), 4)
    check('after its parent', parent.get_status(), 'finished')
    failing = queue.enqueue('rqtasks.slow', 30, job_timeout=1)
    never = queue.enqueue('rqtasks.noop', depends_on=failing)
    all_the_same = queue.enqueue('rqtasks.noop', depends_on=Dependency(jobs=[failing], allow_failure=True))
    wait(all_the_same, 'finished')
    check('not after a failure', never.get_status(), 'deferred')


def pickled():
    from rq import Queue
    job = wait(Queue('default', connection=connection).enqueue('rqtasks.add', 2, 3), 'failed')
    check('pickle', 'unsupported serializer' in job.latest_result().exc_string, True)
    check('its registry', job.id in queue.failed_job_registry, True)
    connection.rpush('rq:queue:default', 'ghost')
    check('it goes on', wait(queue.enqueue('rqtasks.add', 2, 3), 'finished').return_value(), 5)
    check('no claim is left', connection.zcard('rq:wip:default'), 0)


def workers():
    from rq import Worker
    w, = Worker.all(connection=connection)
    w.refresh()
    check('worker', (w.name, w.queue_names(), w.get_state()), ('one', ['high', 'default'], 'idle'))
    check('counts', (w.successful_job_count > 50, w.failed_job_count > 5, w.total_working_time > 1), (True, True, True))
    check('heartbeat', time.time() - w.last_heartbeat.replace(tzinfo=__import__('datetime').timezone.utc).timestamp() < 5, True)
    said = subprocess.run([sys.executable, '-m', 'rq.cli', 'info', '-u', sys.argv[1]], capture_output=True, text=True).stdout
    check('rq info', 'one (' in said and '1 workers, 2 queues' in said, True)
    busy = queue.enqueue('rqtasks.slow', 1)
    wait(busy, 'started')
    w.refresh()
    check('busy', (w.get_state(), w.get_current_job_id()), ('busy', busy.id))
    check('started', busy.id in queue.started_job_registry, True)
    wait(busy, 'finished')


def commands():
    from rq.command import send_kill_horse_command, send_stop_job_command
    from rq.suspension import resume, suspend
    job = wait(queue.enqueue('rqtasks.slow', 30), 'started')
    send_stop_job_command(connection, job.id, serializer=serializer)
    wait(job, 'stopped')
    check('stopped', job.id in queue.failed_job_registry, True)
    job = wait(queue.enqueue('rqtasks.slow', 30), 'started')
    send_kill_horse_command(connection, 'one')
    wait(job, 'failed')
    job = queue.enqueue('rqtasks.slow', 30)
    wait(job, 'started')
    waiting = high.enqueue_in(__import__('datetime').timedelta(seconds=30), 'rqtasks.noop')
    waiting.cancel()
    check('canceled', (waiting.get_status(), waiting.id in high.canceled_job_registry), ('canceled', True))
    send_stop_job_command(connection, job.id, serializer=serializer)
    wait(job, 'stopped')
    suspend(connection)
    first = queue.enqueue('rqtasks.noop')  # a claim may be on its way
    second = queue.enqueue('rqtasks.noop')
    time.sleep(1)
    check('suspended', second.get_status(), 'queued')
    resume(connection)
    wait(second, 'finished')


def leased(): [wait(fetch(id), 'started') for id in ('lease-1', 'lease-2')]
def warm(): wait(fetch('warm-1'), 'started')
def stoppable(): wait(fetch('py-stop'), 'started')


def abandoned():
    job = wait(fetch('lease-1'), 'failed', seconds=30)
    check('abandoned', 'AbandonedJobError' in job.latest_result().exc_string, True)
    check('again', wait(fetch('lease-2'), 'finished', seconds=30).return_value(), 3)


def ended():
    from rq import Worker
    check('warm', fetch('warm-1').return_value(), 2)
    check('no worker', [w.name for w in Worker.all(connection=connection) if w.name == 'two'], [])


def from_cpp():
    job = fetch('py-add')
    check('as RQ writes it', (job.func_name, job.args, job.kwargs, job.description, job.timeout), ('rqtasks.add', [2, 3], {}, 'rqtasks.add(2, 3)', 180))
    check('retries', fetch('py-retry').retries_left, 1)
    from rq import Queue
    python = Queue('python', connection=connection, serializer=serializer)
    check('failed', fetch('py-boom').id in python.failed_job_registry, True)
    check('queues', sorted(q.name for q in Queue.all(connection=connection)), ['default', 'high', 'python'])


if __name__ == '__main__':
    client()
    for name in sys.argv[2:]: globals()[name]()
