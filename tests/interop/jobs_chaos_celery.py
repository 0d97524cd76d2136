# Celery's client sends jobs to workers that are killed all the time; see jobs_chaos.sh. What is checked in the end:
#  - each job has its result, the right one, and nothing is left in the lists, among the claims, or among the dead letters;
#  - a job that no worker had when it was killed ran once;
#  - any other ran once more for each worker that was killed with it at most, and never after a worker had said that it has ended.
# Who started what is known by the workers' events. A worker that is killed may have started what it had no time to say.
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict

import redis
from celery import Celery, chain, chord

from jobs_chaos_workers import Workers

url, program, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
LEASE = 6  # seconds; a worker that is kept from the processor for so long would lose its claims, without being killed
dice = random.Random(seed)
app = Celery('chaos', broker=url + '/0', backend=url + '/1')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'])
broker, backend = redis.Redis.from_url(url + '/0'), redis.Redis.from_url(url + '/1')


class Plan:
    """What is sent, and what is to come of it."""

    def __init__(self):
        self.expected = {}  # id -> (state, value)
        self.family = {}    # id -> those whose double run may be its own as well
        self.sends = []     # functions
        makers = [(70, self.slow), (12, self.add), (8, self.boom), (4, self.flaky), (2, self.later), (2, self.chained), (2, self.chorded)]
        while len(self.expected) < count:
            make = dice.choices([m for _, m in makers], [w for w, _ in makers])[0]
            make(str(len(self.expected)))

    def job(self, id, state, value, parents=()):
        self.expected[id] = (state, value)
        self.family[id] = [id, *parents]

    def send(self, name, id, *args, **options):
        self.sends.append(lambda: app.send_task('tasks.' + name, args, task_id=id, **options))

    def slow(self, n):
        seconds = round(dice.uniform(0, .15), 3)
        self.job('slow-' + n, 'SUCCESS', seconds)
        self.send('slow', 'slow-' + n, seconds)

    def add(self, n):
        self.job('add-' + n, 'SUCCESS', int(n) + 1)
        self.send('add', 'add-' + n, int(n), 1)

    def boom(self, n):
        self.job('boom-' + n, 'FAILURE', {'exc_type': 'ValueError', 'exc_message': ['bad thing', 42], 'exc_module': 'builtins'})
        self.send('boom', 'boom-' + n)

    def flaky(self, n):  # is sent again by its worker
        self.job('flaky-' + n, 'SUCCESS', 'ok after 1')
        self.send('flaky', 'flaky-' + n, 1)

    def later(self, n):
        self.job('later-' + n, 'SUCCESS', 3)
        self.send('add', 'later-' + n, 1, 2, countdown=dice.uniform(.5, 3))

    def chained(self, n):
        ids = ['chain-%s-%s' % (n, part) for part in 'abc']
        for i, id in enumerate(ids): self.job(id, 'SUCCESS', 3 + 10 * i, ids[:i])
        parts = [app.signature('tasks.add', args=a, task_id=id) for a, id in zip(((1, 2), (10,), (10,)), ids)]
        self.sends.append(lambda: chain(*parts).apply_async())

    def chorded(self, n):
        ids = ['chord-%s-%d' % (n, i) for i in range(4)]
        for i, id in enumerate(ids): self.job(id, 'SUCCESS', 2 * i)
        self.job('chord-' + n, 'SUCCESS', 12, ids)
        head = [app.signature('tasks.add', args=(i, i), task_id=id) for i, id in enumerate(ids)]
        body = app.signature('tasks.tsum', task_id='chord-' + n)
        self.sends.append(lambda: chord(head)(body))


class Witness:
    """Listens to the workers' events."""

    def __init__(self):
        self.received, self.starts, self.ends = defaultdict(list), defaultdict(list), defaultdict(list)  # id -> [(worker, time)]
        self.seen = 0
        self.ear = redis.Redis.from_url(url).pubsub()
        self.ear.psubscribe('/0.celeryev/task.*')
        self.ear.get_message(timeout=10)

    def take(self, seconds):
        """The next event, if there is one within that time."""
        message = self.ear.get_message(timeout=seconds)
        if not message or message['type'] != 'pmessage': return None
        envelope = json.loads(message['data'])
        event = json.loads(envelope['body']) if envelope['body'].startswith('{') else json.loads(__import__('base64').b64decode(envelope['body']))
        who = (event['hostname'].split('@')[0], event['timestamp'])
        kinds = {'task-received': self.received, 'task-started': self.starts, 'task-succeeded': self.ends, 'task-failed': self.ends}
        if event['type'] in kinds: kinds[event['type']][event['uuid']].append(who)
        self.seen += event['type'] == 'task-started'
        return event


def fail(text, *details):
    print('FAILED: ' + text)
    for line in list(details)[:20]: print('   ', line)
    sys.exit(1)


def left():
    lists = sum(broker.llen('celery' + s) for s in ('', '\x06\x163', '\x06\x166', '\x06\x169'))
    return lists, broker.hlen('unacked'), broker.zcard('unacked_index'), broker.llen('eddy.dead')


def final_results(ids):
    values = backend.mget(['celery-task-meta-' + id for id in ids])
    stored = {id: json.loads(v) for id, v in zip(ids, values) if v}
    return {id: r for id, r in stored.items() if r['status'] in ('SUCCESS', 'FAILURE', 'REVOKED')}


def kill_until_done(plan, witness, workers):
    """After each 15 to 60 jobs that start, as long as there are some to come: sometimes the one that has just started one, sometimes any."""
    deadline, quiet_since, next_kill = time.time() + 240, time.time(), dice.randint(15, 60)

    def send():
        for s in plan.sends[len(plan.sends) // 4:]: s()

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    missing = list(plan.expected)
    while missing:
        event = witness.take(.2)
        if event and event['type'] == 'task-started' and witness.seen >= next_kill and witness.seen < .9 * count:
            next_kill = witness.seen + dice.randint(15, 60)
            workers.kill(event['hostname'].split('@')[0] if dice.random() < .5 else None)
        if event and event['type'].startswith('task-'): quiet_since = time.time()
        if time.time() > deadline or time.time() - quiet_since > 30:
            fail('%d jobs have no result; queued, claimed, index, dead letters: %r' % (len(missing), left()),
                 *[(id, witness.received[id], witness.starts[id], witness.ends[id]) for id in missing])
        if event is None or witness.seen % 500 == 0:
            done = final_results(missing) if not sender.is_alive() else {}
            missing = [id for id in missing if id not in done]
    sender.join()


def check_results(plan):
    """When there is nothing more to come: a retry that runs twice has a result, and then RETRY for its state again."""
    results = final_results(list(plan.expected))
    lost = [id for id in plan.expected if id not in results]
    if lost: fail('%d jobs have no result any more' % len(lost), *lost)
    wrong = [(id, results[id]['status'], results[id]['result']) for id, wanted in plan.expected.items()
             if (results[id]['status'], results[id]['result']) != wanted]
    if wrong: fail('these have other results than they should', *wrong)


def check_nothing_left():
    """A worker acknowledges a moment after the result is there."""
    until = time.time() + 30
    while left() != (0, 0, 0, 0) and time.time() < until: time.sleep(.05)
    if left() != (0, 0, 0, 0):
        fail('queued, claimed, index, dead letters: %r' % (left(),), *broker.lrange('eddy.dead', 0, 3))


def check_runs(plan, witness, died):
    wrong = []
    for id in plan.expected:
        again = 1 if id.startswith('flaky') else 0  # it asks for that itself
        had = [name for relative in plan.family[id] for name, _ in witness.received[relative]]
        starts, ends = sorted(witness.starts[id], key=lambda s: s[1]), sorted(witness.ends[id], key=lambda s: s[1])
        killed = {name for name in had if name in died}
        if not killed and len(starts) != 1 + again: wrong.append((id, 'no worker was killed with it', starts))
        if len(plan.family[id]) > 1 or again: continue  # what follows a job that ran twice may be sent twice
        if len(starts) > 1 + len(killed): wrong.append((id, 'killed with it: %r' % killed, starts))
        if len(ends) > 1 or (ends and starts[-1][1] > ends[0][1]): wrong.append((id, 'it had ended', starts, ends))
        for (name, _), (_, next_start) in zip(starts, starts[1:]):
            if died.get(name, 1e18) > next_start: wrong.append((id, '%s still had it' % name, starts))
    if wrong: fail('these ran more often than they may', *wrong)


began = time.time()
plan, witness = Plan(), Witness()
for s in plan.sends[:len(plan.sends) // 4]: s()
workers = Workers(program, ['--url', url + '/0', '--results', url + '/1', '--concurrency', '4', '--visibility', str(LEASE), '--events'], 4, dice)
try:
    kill_until_done(plan, witness, workers)
    check_nothing_left()
    check_results(plan)
    workers.end()
    while witness.take(.2): pass
    check_runs(plan, witness, workers.died)
finally:
    workers.kill_all()
runs = Counter(len(s) for id, s in witness.starts.items() if not id.startswith('flaky'))
print('%d jobs, %d workers killed, %d jobs ran more than once without having asked for it, in %.0f s' %
      (len(plan.expected), len(workers.died), sum(n for r, n in runs.items() if r > 1), time.time() - began))
