# Converts CSV to JSON with types that are guessed.
import csv
import json
from datetime import date

def guess(text):
    for convert in (int, float, date.fromisoformat):
        try:
            return convert(text)
        except ValueError:
            pass
    return {"true": True, "false": False, "": None}.get(text.lower(), text)

lines = ["id,name,score,joined,active", "1,Ada,9.5,2024-01-31,true", "2,Bob,,2023-12-01,FALSE", "x3,Cy,1e3,soon,"]
records = [{key: guess(value) for key, value in row.items()} for row in csv.DictReader(lines)]
print(json.dumps(records, default=lambda value: {"date": value.isoformat()}, indent=1))
