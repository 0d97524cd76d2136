# The same with Python's ProcessPoolExecutor, by each way of starting workers: "METHOD first seq calls/s", times in µs.
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor


def nothing():
    return None


if __name__ == "__main__":
    for method in ("fork", "forkserver", "spawn"):
        start = time.perf_counter()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            pool.submit(nothing).result()
            first = time.perf_counter() - start
            samples = []
            for _ in range(500):
                start = time.perf_counter()
                pool.submit(nothing).result()
                samples.append(time.perf_counter() - start)
            samples.sort()
            start = time.perf_counter()
            for f in [pool.submit(nothing) for _ in range(5000)]:
                f.result()
            flow = 5000 / (time.perf_counter() - start)
        print(f"{method} {first * 1e6:.0f} {samples[250] * 1e6:.1f} {flow:.0f}", flush=True)
