# The victims of jobs_chaos_celery.py and jobs_chaos_rq.py: some places, in each of which one worker after the other lives.
import subprocess
import time


class Workers:
    def __init__(self, program, arguments, places, random):
        self.program, self.arguments, self.random = program, arguments, random
        self.places = [None] * places
        self.died = {}  # the name of a worker that was killed -> when
        self.born = 0
        for place in range(places): self.start(place)

    def start(self, place):
        self.born += 1
        name = 'w%d' % self.born
        with open('worker-%s.out' % name, 'w') as out, open('worker-%s.err' % name, 'w') as err:
            process = subprocess.Popen([self.program, *self.arguments, '--name', name], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.places[place] = (name, process)

    def kill(self, name=None):
        """This one, if it still lives, or any; another takes its place."""
        living = {n: place for place, (n, _) in enumerate(self.places)}
        place = living.get(name, self.random.randrange(len(self.places)))
        victim, process = self.places[place]
        if process.poll() is not None: raise SystemExit('FAILED: worker %s ended by itself: status %d' % (victim, process.returncode))
        process.kill()
        process.wait()
        self.died[victim] = time.time()
        self.start(place)

    def end(self):
        """A warm shutdown of those that are left."""
        for _, process in self.places: process.terminate()
        statuses = [process.wait(timeout=60) for _, process in self.places]
        if any(statuses): raise SystemExit('FAILED: the last workers end with %r' % statuses)

    def kill_all(self):
        for _, process in filter(None, self.places):
            if process.poll() is None: process.kill()
            process.wait()
