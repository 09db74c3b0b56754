# Data classes: order, defaults, replacement, conversion.
from dataclasses import asdict, dataclass, field, replace
from datetime import date

@dataclass(order=True, frozen=True)
class Version:
    major: int
    minor: int = 0
    label: str = field(default="", compare=False)

    def __str__(self):
        return f"{self.major}.{self.minor}" + (f"-{self.label}" if self.label else "")

@dataclass
class Release:
    version: Version
    day: date
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        if not self.notes:
            self.notes.append("no notes")

releases = [Release(Version(1, 2), date(2024, 2, 1)), Release(Version(1, 10, "rc"), date(2024, 3, 1), ["faster"]), Release(Version(0, 9), date(2023, 1, 1))]
for release in sorted(releases, key=lambda release: release.version):
    print(release.version, asdict(release))
print(replace(releases[0].version, minor=3) > releases[0].version, Version(1, 2, "a") == Version(1, 2, "b"))
try:
    releases[0].version.major = 2
except AttributeError as error:
    print(type(error).__name__)
