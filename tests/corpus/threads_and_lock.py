# Threads that add under a lock, and hand results over a queue.
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

total, lock, done = 0, threading.Lock(), queue.Queue()

def work(name, numbers):
    global total
    for n in numbers:
        with lock:
            total += n
    done.put(name)

threads = [threading.Thread(target=work, args=(f"t{i}", range(i * 10, i * 10 + 10))) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(total, sorted(done.get() for _ in threads), done.empty())
with ThreadPoolExecutor(max_workers=3) as pool:
    futures = {pool.submit(pow, n, 3): n for n in range(5)}
    print(sorted((futures[future], future.result()) for future in as_completed(futures)))
    print(list(pool.map(len, ["a", "bb", ""])))
