# Generators as coroutines: send, throw, close, return values.
def averager():
    total = count = 0
    while True:
        try:
            value = yield total / count if count else None
        except ValueError:
            total = count = 0
            continue
        if value is None:
            return total, count
        total, count = total + value, count + 1

def collect(results):
    while True:
        results.append((yield from averager()))

results = []
group = collect(results)
next(group)
print([group.send(v) for v in (10, 20)], group.send(None), group.send(7), group.throw(ValueError), group.send(1))
group.send(None)
print(results)

def careful():
    try:
        yield 1
    except GeneratorExit:
        print("closed")
        raise

g = careful()
next(g)
g.close()

def scheduler(*tasks):
    tasks = list(tasks)
    while tasks:
        task = tasks.pop(0)
        try:
            print(next(task), end=" ")
            tasks.append(task)
        except StopIteration as stop:
            print(f"[{stop.value}]", end=" ")

def task(name, n):
    for i in range(n):
        yield f"{name}{i}"
    return name

scheduler(task("a", 2), task("b", 3))
print()
