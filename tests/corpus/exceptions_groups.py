# Exception groups, notes, and chains.
def check(record):
    problems = []
    if not record.get("name"):
        problems.append(ValueError("no name"))
    if not isinstance(record.get("age"), int):
        problems.append(TypeError("age is no number"))
    if problems:
        raise ExceptionGroup(f"record {record}", problems)
    return record

for record in ({"name": "Ada", "age": 36}, {"age": "old"}, {"name": "", "age": 3}):
    try:
        print("good", check(record))
    except* ValueError as group:
        print("values:", [str(error) for error in group.exceptions])
    except* TypeError as group:
        print("types:", [str(error) for error in group.exceptions])
try:
    try:
        int("x")
    except ValueError as error:
        error.add_note("in line 3")
        raise
except ValueError as error:
    print(error, error.__notes__)

def cleanup():
    try:
        return "returned"
    finally:
        print("finally")

print(cleanup())
