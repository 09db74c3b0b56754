# Decorators with arguments, that keep the name, and that count.
import functools
import time

def retry(times, *exceptions, wait=0.001):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for attempt in range(1, times + 1):
                try:
                    result = function(*args, **kwargs)
                    wrapper.attempts = attempt
                    return result
                except exceptions as error:
                    print(f"attempt {attempt}: {error}")
                    if attempt == times:
                        raise
                    time.sleep(wait)
        return wrapper
    return decorate

state = iter([False, False, True])

@retry(5, ConnectionError)
def fetch(url):
    """Fetches it."""
    if not next(state):
        raise ConnectionError("refused")
    return f"content of {url}"

print(fetch("/a"), fetch.attempts, fetch.__name__, fetch.__doc__)

@retry(2, OSError)
def never():
    raise TimeoutError("too slow")

try:
    never()
except TimeoutError as error:
    print("gave up:", error)
