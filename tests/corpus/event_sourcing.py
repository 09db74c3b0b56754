# Accounts from events, with snapshots and a projection.
from dataclasses import dataclass
from functools import reduce

@dataclass(frozen=True)
class Event:
    kind: str
    account: str
    amount: int = 0

events = [Event("opened", "a"), Event("paid_in", "a", 100), Event("opened", "b"), Event("paid_out", "a", 30), Event("paid_in", "b", 5), Event("closed", "b")]

def apply(state, event):
    match event:
        case Event("opened", account):
            return state | {account: 0}
        case Event("paid_in", account, amount):
            return state | {account: state[account] + amount}
        case Event("paid_out", account, amount):
            return state | {account: state[account] - amount}
        case Event("closed", account):
            return {name: value for name, value in state.items() if name != account}

print(reduce(apply, events, {}))
snapshot = reduce(apply, events[:3], {})
print(snapshot, reduce(apply, events[3:], snapshot) == reduce(apply, events, {}))
for number, event in enumerate(events):
    print(number, event, reduce(apply, events[: number + 1], {}))
