# The cluster of jobs_celery_cluster.sh: workers of both kinds, which Celery's tools look at, and of which one is killed.
import json
import re
import subprocess
import sys
import time

from jobs_celery_support import Events, app, broker, check, fail, failure, on_time, send, stored, url, wait_all_acknowledged, wait_until

program, sender = sys.argv[2:4]
LEASE = 5
processes = []


def start(name, *command):
    with open(name + '.log', 'w') as log:
        processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))
    return processes[-1]


def says(name, pattern):
    with open(name + '.log', errors='replace') as log: return re.search(pattern, log.read(), re.M)


def cpp_worker(name, *options):
    w = start(name, program, '--url', url + '/0', '--results', url + '/1', '--name', name + '@interop', '--visibility', str(LEASE), '--events', *options)
    wait_until(name, lambda: says(name, '^ready$'))
    return w


def python_worker(name, queue):
    w = start(name, sys.executable, '-m', 'celery', '-A', 'application', 'worker', '--pool=solo', '-n', name + '@interop', '-Q', queue, '-E', '-l', 'INFO')
    wait_until(name, lambda: says(name, ' ready\\.$'), 60)
    return w


def end(worker):
    worker.terminate()
    check('status', worker.wait(timeout=60), 0)


def jobs_send(*arguments):
    done = subprocess.run([sender, '--url', url + '/0', '--results', url + '/1', *arguments], capture_output=True, text=True, timeout=120)
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def celery_says(*commands):
    """Of several at a time: Python takes its time to start."""
    running = [subprocess.Popen([sys.executable, '-m', 'celery', '-b', url + '/0', *c], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    answers = [r.communicate(timeout=120) for r in running]
    for c, r, (_, err) in zip(commands, running, answers):
        if r.returncode != 0: fail('celery %s: status %d, %s' % (' '.join(c), r.returncode, err))
    return [out for out, _ in answers]


def sends_to_python():
    check('py.add', jobs_send('--queue', 'python', '--id', 'py-1', 'py.add', '2', '3'), '5')
    check('its result is there', jobs_send('--result', 'py-1'), '5')
    check('py.boom', 'KeyError: nothing' in jobs_send('--queue', 'python', 'py.boom'), True)
    said = jobs_send('--queue', 'python', '--id', 'py-2', '--priority', '3', '--time-limit', '7', 'py.request')
    check('as it was sent', json.loads(said), ['py-2', 0, [7, None], 3])
    before = time.time()
    jobs_send('--queue', 'python', '--id', 'py-3', '--countdown', '60', '--no-wait', 'py.add', '2', '3')
    held = wait_until('held', lambda: says('python', r'Task py\.add\[py-3\] received'))
    check('received', bool(held), True)
    there = app.control.inspect(timeout=20, limit=1, destination=['python@interop']).scheduled()['python@interop'][0]
    eta = __import__('datetime').datetime.fromisoformat(there['eta']).timestamp()
    check('scheduled', (there['request']['id'], before + 60 <= eta <= time.time() + 60), ('py-3', True))
    # Celery's worker does not renew its claims: other workers would take it for lost, again and again.
    broker.hdel('unacked', *broker.hkeys('unacked'))
    broker.zremrangebyrank('unacked_index', 0, -1)


def looked_at():
    """Celery's tools, while one job runs in the C++ worker, another waits there, and a third one for its time."""
    events = Events()
    running, waiting, later = send('slow', 60), send('slow', 60), send('add', 1, 1, countdown=120)
    events.wait(running.id, 'task-started')
    events.wait(later.id, 'task-received')
    methods = ['ping', 'registered', 'active', 'reserved', 'scheduled', 'stats']
    status, *answers = celery_says(['status', '--timeout', '5'], *[['inspect', '--timeout', '5', '--json', m] for m in methods])
    check('status', '2 nodes online.' in status, True)
    of = dict(zip(methods, (json.loads(a) for a in answers)))
    for m in methods: check(m, sorted(of[m]), ['one@interop', 'python@interop'])
    mine = {m: of[m]['one@interop'] for m in methods}
    check('ping', mine['ping'], {'ok': 'pong'})
    check('registered', 'tasks.add' in mine['registered'], True)
    active, = mine['active']
    check('active', (active['id'], active['name'], active['worker_pid']), (running.id, 'tasks.slow', one.pid))
    check('since', abs(active['time_start'] - events.wait(running.id, 'task-started')['timestamp']) < 1, True)
    check('reserved', [r['id'] for r in mine['reserved']], [waiting.id])
    check('scheduled', [r['request']['id'] for r in mine['scheduled']], [later.id])
    check('stats', (mine['stats']['total']['tasks.slow'], mine['stats']['pid'], mine['stats']['pool']['max-concurrency']), (1 + 1, one.pid, 1))
    app.control.revoke([waiting.id, later.id])
    check('revoked', (failure(waiting), failure(later)), ("TaskRevokedError('revoked',)",) * 2)
    app.control.revoke(running.id, terminate=True)
    check('terminated', failure(running), "TaskRevokedError('terminated',)")


def dumped():
    """celery events --dump, from the worker's start to its end."""
    events = Events()
    start('dump', sys.executable, '-u', '-m', 'celery', '-b', url + '/0', 'events', '--dump')
    wait_until('the dump', lambda: says('dump', r'python@interop .*heartbeat'))
    w = cpp_worker('two', '--queue', 'second')
    ids = [send(name, *a, queue='second', task_id=id).id for id, name, a in (('dump-1', 'add', (1, 2)), ('dump-2', 'boom', ()))]
    for id, last in zip(ids, ('succeeded', 'failed')):
        for type in ('received', 'started', last): wait_until(type, lambda: says('dump', r'two@interop .*task %s: .*%s' % (type, id)))

    def beats():
        return [e['timestamp'] for e in events.all if e['type'] == 'worker-heartbeat' and e['hostname'] == 'two@interop']

    def off_beat():
        """The median of four intervals' distances from 2 s."""
        n = len(beats())
        wait_until('heartbeats', lambda: len(beats()) >= n + 5)
        at = beats()[-5:]
        return sorted(abs(b - a - 2) for a, b in zip(at, at[1:]))[2]
    on_time('heartbeat', off_beat, 0, .4)
    end(w)
    for type in ('started', 'heartbeat', 'shutdown'): wait_until(type, lambda: says('dump', 'two@interop .*%s' % type))


def killed():
    """Two idle workers, of which the one with the job is killed: the other one has it when its lease is over, and says that it is the second time."""
    events = Events()
    pair = {name + '@interop': cpp_worker(name, '--queue', 'pair') for name in ('three', 'four')}

    def redelivery():
        r = send('slow', 3, queue='pair')
        first = events.wait(r.id, 'task-started')['hostname']
        tag, = broker.hkeys('unacked')
        claimed = broker.zscore('unacked_index', tag)
        pair[first].kill()
        pair[first].wait()
        second = events.wait(r.id, 'task-received', 2)
        events.wait(r.id, 'task-started', 2)
        message = json.loads(broker.hget('unacked', tag))[0]
        check('redelivered', (message['headers']['redelivered'], message['properties']['delivery_info']['redelivered'], second['hostname'] != first), (True, True, True))
        check('it has run', r.get(timeout=60), 3)
        wait_all_acknowledged()
        check('twice', len(events.some(r.id, 'task-started')), 2)
        pair[first] = cpp_worker(first.split('@')[0], '--queue', 'pair')
        return second['timestamp'] - claimed
    on_time('redelivery', redelivery, LEASE, 11)
    for w in pair.values(): end(w)


def outlives_its_lease():
    """Nobody takes a job that runs for longer than its lease: not the worker beside it, and not Celery's, which looks for such claims at its start."""
    events = Events()
    pair = [cpp_worker(name, '--queue', 'long') for name in ('five', 'six')]
    r = send('slow', 3 * LEASE, queue='long')
    began = events.wait(r.id, 'task-started')['timestamp']
    wait_until('the first lease is over', lambda: time.time() > began + LEASE + 1)
    celery = python_worker('seven', 'long')
    check('still', stored(r.id), None)
    check('it has run', r.get(timeout=60), 3 * LEASE)
    wait_all_acknowledged()
    events.wait(r.id, 'task-succeeded')  # by another connection than the acknowledgement
    check('once', [e['type'] for e in events.some(r.id, 'task-received', 'task-started', 'task-succeeded')], ['task-received', 'task-started', 'task-succeeded'])
    end(celery)
    for w in pair: end(w)


try:
    one = cpp_worker('one', '--concurrency', '1')
    python_worker('python', 'python')
    for part in sends_to_python, looked_at, dumped, killed, outlives_its_lease: part()
finally:
    for p in processes:
        if p.poll() is None: p.kill()
        p.wait()
