# Logging with a format, levels, children and a handler that counts.
import io
import logging

out = io.StringIO()
handler = logging.StreamHandler(out)
handler.setFormatter(logging.Formatter("%(levelname)-7s %(name)s: %(message)s"))
log = logging.getLogger("shop")
log.addHandler(handler)
log.setLevel(logging.INFO)
log.propagate = False
orders = log.getChild("orders")

class Counter(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        self.seen.append((record.levelno, record.funcName))

counter = Counter()
log.addHandler(counter)

def take(order):
    orders.debug("not shown %s", order)
    orders.info("order %05d", order)
    if order > 1:
        orders.warning("%s is a lot: %.1f%%", order, 99.5)

take(1)
take(2)
try:
    {}["x"]
except KeyError:
    log.exception("it failed")
print(out.getvalue().splitlines()[:4], counter.seen)
