# A state machine with enumerations and flags.
from enum import Enum, Flag, IntEnum, auto, unique

class Light(Enum):
    RED = "stop"
    GREEN = "go"
    YELLOW = "slow"

    def next(self):
        members = list(type(self))
        return members[(members.index(self) + 1) % len(members)]

class Permission(Flag):
    READ = auto()
    WRITE = auto()
    RUN = auto()

class Level(IntEnum):
    LOW = 1
    HIGH = 3

light = Light.RED
for _ in range(4):
    print(light.name, light.value)
    light = light.next()
mine = Permission.READ | Permission.RUN
print([p.name for p in Permission if p in mine], Permission.WRITE in mine, (mine ^ Permission.READ).value)
print(Level.HIGH > 2, Light("go"), Light["RED"] is Light.RED)
try:
    @unique
    class Bad(Enum):
        A = 1
        B = 1
except ValueError as error:
    print(error)
