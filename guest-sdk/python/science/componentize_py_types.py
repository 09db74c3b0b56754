"""Results, as the bindings of componentize-py have them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Ok:
    """What succeeded."""

    value: object


class Err(Exception):
    """What failed."""

    def __init__(self, value):
        super().__init__(value)
        self.value = value
