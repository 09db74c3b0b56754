"""The workers of the SDKs call each other, are killed, and replaced."""

from ground import encoded, kill, until


def check(ground, languages):
    server, noted = ground.server, ground.noted
    ground.worker(languages[0], "other")
    for language in languages:
        programs(ground, language)
    assert noted("double 21") == len(languages), ground.notes.read_text()
    if any(language.name == "rust" for language in languages):
        # The one calls the other.
        server.begin("typescript", f"mixed{server.mark}", "mixed", [9])
        outcome = server.outcome(f"mixed{server.mark}")
        assert outcome == ("resolved", 6), outcome
        assert noted("rust_more 9") == 1, ground.notes.read_text()


def programs(ground, language):
    server, noted = ground.server, ground.noted
    group, prefix = language.name, language.prefix
    order, stuck, ticks = (f"{group}-{what}{server.mark}" for what in ("order", "stuck", "ticks"))
    first = ground.worker(language, group)
    server.begin(group, order, f"{prefix}order", language.arguments(20))
    until("the detached call", lambda: noted(f"{prefix}aside 20"))
    question = until("the external promise", lambda: server.questions(order))[0]
    # Suspended: another worker goes on once it is answered.
    kill(first)
    second = ground.worker(language, group)
    server.ask("promise.settle", id=question, state="resolved", value={"data": encoded("yes")})
    outcome = server.outcome(order)
    assert outcome == ("resolved", [21, 42, "yes"]), outcome
    steps = [noted(line) for line in (f"{prefix}more 20", "double 21", f"{prefix}aside 20")]
    assert steps[0] == 1 and steps[2] == 1, ground.notes.read_text()

    server.begin(group, stuck, f"{prefix}stuck", language.arguments())
    until("the first step", lambda: noted(f"{prefix}wait"))
    # In the middle: its lease runs out.
    kill(second)
    ground.worker(language, group)
    outcome = server.outcome(stuck)
    assert outcome == ("resolved", "free"), outcome

    server.ask(
        "schedule.create", id=ticks, cron="* * * * * *", promiseId="{{.id}}-{{.timestamp}}", promiseTimeout=60_000,
        promiseParam={"data": encoded({"func": f"{prefix}tick", "args": language.arguments(), "version": 1})},
        promiseTags={"resonate:target": f"poll://any@{group}", "resonate:scope": "global"},
    )
    until("two firings", lambda: noted(f"{prefix}tick") >= 2)
    server.ask("schedule.delete", id=ticks)
