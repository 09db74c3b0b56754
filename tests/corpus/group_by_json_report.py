# Groups nested records, with several measures, and prints them as JSON.
import json
from itertools import groupby
from statistics import mean, median

people = [
    {"name": "Ada", "team": "core", "skills": ["c", "rust"], "hours": [7, 8, 9]},
    {"name": "Bob", "team": "web", "skills": ["js"], "hours": [6]},
    {"name": "Cy", "team": "core", "skills": ["rust"], "hours": [8, 8]},
    {"name": "Dee", "team": "web", "skills": [], "hours": []},
]
people.sort(key=lambda p: (p["team"], p["name"]))
report = {}
for team, members in groupby(people, key=lambda p: p["team"]):
    members = list(members)
    hours = [h for member in members for h in member["hours"]]
    report[team] = {
        "size": len(members),
        "skills": sorted({s for member in members for s in member["skills"]}),
        "hours": {"mean": round(mean(hours), 2), "median": median(hours)} if hours else None,
        "idle": [member["name"] for member in members if not member["hours"]],
    }
print(json.dumps(report, indent=2))
