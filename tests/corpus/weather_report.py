# Readings with gaps are filled, summed up by day and shown.
from datetime import datetime, timedelta
from statistics import mean

raw = {"2024-06-01T00": 12.0, "2024-06-01T06": 14.5, "2024-06-01T12": 22.0, "2024-06-02T00": 13.0, "2024-06-02T12": 25.5, "2024-06-02T18": 19.0}
readings = {datetime.strptime(key, "%Y-%m-%dT%H"): value for key, value in raw.items()}
filled, at = {}, min(readings)
while at <= max(readings):
    if at in readings:
        filled[at] = (readings[at], "")
    else:
        before = max(t for t in readings if t < at)
        after = min(t for t in readings if t > at)
        part = (at - before) / (after - before)
        filled[at] = (readings[before] + part * (readings[after] - readings[before]), "filled")
    at += timedelta(hours=6)
for at, (value, note) in filled.items():
    print(f"{at:%d.%m. %H:00} {value:5.1f} {'▁▂▃▄▅▆▇█'[min(7, int((value - 10) / 2))]} {note}".rstrip())
for day in sorted({at.date() for at in filled}):
    values = [value for at, (value, _) in filled.items() if at.date() == day]
    print(day, f"low {min(values):.1f} high {max(values):.1f} mean {mean(values):.2f}")
