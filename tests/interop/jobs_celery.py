# The clients' side of jobs_celery.sh: Celery's own client against samples/jobs_worker. Each check prints a line; the first that
# fails ends it.
import json
import sys
import time

from celery import Celery, chain, chord, group

url = sys.argv[1]
app = Celery('interop', broker=url + '/0', backend=url + '/1')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'], enable_utc=True)


def sig(name, *args, **options):
    return app.signature('tasks.' + name, args=args, **options)


def send(name, *args, **options):
    return app.send_task('tasks.' + name, args=args, **options)


def check(name, got, expected):
    if got != expected:
        print('FAILED %s: got %r, expected %r' % (name, got, expected))
        sys.exit(1)
    print('ok', name)


def failure(result, timeout=10):
    try:
        return 'value %r' % (result.get(timeout=timeout),)
    except Exception as e:
        return '%s%r' % (type(e).__name__, e.args)


broker = app.connection().default_channel.client
backend = app.backend.client


def results():
    r = send('add', 2, 3)
    check('add', r.get(timeout=10), 5)
    check('ttl', 86000 < backend.ttl('celery-task-meta-' + r.id) <= 86400, True)
    check('kwargs', app.send_task('tasks.add', kwargs={'x': 1, 'y': 2.5}).get(timeout=10), 3.5)
    check('boom', failure(send('boom')), "ValueError('bad thing', 42)")
    check('unknown', failure(send('nowhere')), "NotRegistered('tasks.nowhere',)")
    try:
        send('big', 'x').get(timeout=10)
    except TypeError as e:
        check('arguments', e.args, ('tasks.big() argument 1 (\'n\'): expected an integer, got the string "x"',))
    ignored = send('noop_ign', ignore_result=True)
    send('noop').get(timeout=10)
    time.sleep(.3)
    check('ignored', backend.get('celery-task-meta-' + ignored.id), None)
    numbers = [(i, 2 ** 53 + i) for i in range(500)]
    sent = [(a + b, send('add', a, b)) for a, b in numbers]
    check('500 jobs', [r.get(timeout=20) for _, r in sent], [v for v, _ in sent])
    time.sleep(.2)
    check('unacked is empty', broker.hlen('unacked') + broker.zcard('unacked_index'), 0)


def times():
    t = time.time()
    send('add', 1, 1, countdown=2).get(timeout=10)
    check('countdown', 2 <= time.time() - t < 2.6, True)
    check('expired', failure(send('add', 1, 1, countdown=2, expires=1)), "TaskRevokedError('expired',)")
    t = time.time()
    check('flaky', send('flaky', 2).get(timeout=10), 'ok after 2')
    check('retries take 2 s', 2 <= time.time() - t < 3, True)
    check('flaky for ever', failure(send('flaky', 9)), "RuntimeError('again',)")
    check('auto', failure(send('auto')), "RuntimeError('auto',)")
    check('soft', failure(send('softy')).startswith('SoftTimeLimitExceeded('), True)
    check('hard', failure(send('hardy')), 'TimeLimitExceeded(1,)')
    check('own limit', failure(send('slow', 5, time_limit=1)), 'TimeLimitExceeded(1,)')
    check('suicide', failure(send('suicide')).startswith("WorkerLostError('Worker exited prematurely: signal 9"), True)
    check('suicide_late', failure(send('suicide_late')).startswith("WorkerLostError('Worker exited prematurely: signal 9"), True)


def workflows():
    check('chain', chain(sig('add', 2, 3), sig('add', 5))().get(timeout=10), 10)
    check('group', group(sig('add', i, i) for i in range(4))().get(timeout=10), [0, 2, 4, 6])
    check('chord', chord((sig('add', i, i) for i in range(4)), sig('tsum'))().get(timeout=10), 12)
    check('chain of group', chain(group(sig('add', 1, 1), sig('add', 2, 2)), sig('tsum'), sig('add', 1))().get(timeout=10), 7)
    check('chain into group', chain(sig('add', 1, 1), group(sig('add', 1), sig('add', 2)), sig('tsum'))().get(timeout=10), 7)
    failing = chord([sig('add', 1, 1), sig('boom')], sig('tsum'))()
    check('chord fails', failure(app.AsyncResult(failing.id)).startswith("ChordError(\"Dependency "), True)  # failing itself looks at its parents first
    time.sleep(.3)
    check('no chord keys', backend.keys('celery-taskset-meta-*.[jst]'), [])
    linked = sig('add', 1, 1)
    follow = sig('add', 10)
    follow.set(task_id='linked-1')
    linked.link(follow)
    linked.apply_async()
    check('link', app.AsyncResult('linked-1').get(timeout=10), 12)
    bad, errback = sig('boom'), sig('onerr')
    errback.set(task_id='errback-1')
    bad.link_error(errback)
    bad.apply_async()
    check('link_error', app.AsyncResult('errback-1').get(timeout=10), 'onerr')


def control():
    i = app.control.inspect(timeout=1)
    check('ping', app.control.ping(timeout=1), [{'one@interop': {'ok': 'pong'}}])
    check('registered', 'tasks.add' in i.registered()['one@interop'], True)
    running, waiting = send('slow', 30), send('add', 1, 1, countdown=60)
    time.sleep(.5)
    active = i.active()['one@interop'][0]
    check('active', (active['id'], active['name'], active['worker_pid'] > 0, active['time_start'] > 0), (running.id, 'tasks.slow', True, True))
    check('scheduled', i.scheduled()['one@interop'][0]['request']['id'], waiting.id)
    check('stats', i.stats()['one@interop']['total']['tasks.slow'] >= 1, True)
    app.control.revoke(running.id, terminate=True)
    check('terminated', failure(running), "TaskRevokedError('terminated',)")
    app.control.revoke(waiting.id)
    check('revoked', failure(waiting), "TaskRevokedError('revoked',)")
    slow = send('progress')
    while slow.state == 'PENDING':
        time.sleep(.01)
    check('progress', (slow.state, slow.info), ('PROGRESS', {'cur': 1, 'total': 2}))
    check('done', slow.get(timeout=10), 'done')


def malformed():
    broker.lpush('celery', 'garbage', '{"body": "x"}', json.dumps({'body': 'WzFd', 'headers': {'task': 'a', 'id': 'b'},
                 'properties': {'delivery_tag': 'bad-1', 'body_encoding': 'base64'}}))
    check('it lives', send('add', 1, 1).get(timeout=10), 2)
    time.sleep(.3)
    check('dead letters', broker.llen('eddy.dead'), 3)


def priorities():
    for p in (9, 5, 3, 0):
        send('add', p, 0, priority=p)
    check('lists', [broker.llen('celery' + s) for s in ('', '\x06\x163', '\x06\x166', '\x06\x169')], [1, 2, 0, 1])


def wait_redelivered():
    r = app.AsyncResult('lease-1')
    check('redelivered', r.get(timeout=30), 3)


for name in sys.argv[2:]:
    globals()[name]()
