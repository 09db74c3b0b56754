# An interpreter of a small language, with jumps found beforehand.
def run(program, given=""):
    jumps, stack = {}, []
    for at, c in enumerate(program):
        if c == "[":
            stack.append(at)
        elif c == "]":
            jumps[at] = stack.pop()
            jumps[jumps[at]] = at
    tape, head, at, out, steps, given = bytearray(300), 0, 0, [], 0, iter(given.encode())
    while at < len(program):
        c = program[at]
        if c == "+":
            tape[head] = (tape[head] + 1) & 255
        elif c == "-":
            tape[head] = (tape[head] - 1) & 255
        elif c in "<>":
            head += 1 if c == ">" else -1
        elif c == ".":
            out.append(tape[head])
        elif c == ",":
            tape[head] = next(given, 0)
        elif c == "[" and not tape[head] or c == "]" and tape[head]:
            at = jumps[at]
        at += 1
        steps += 1
    return bytes(out).decode(), steps

hello = "++++++++[>++++[>++>+++>+++>+<<<<-]>+>+>->>+[<]<-]>>.>---.+++++++..+++.>>.<-.<.+++.------.--------.>>+."
print(run(hello), run(",[.,]", "echo"), run(">,[>,]<[.<]", "abc"))
