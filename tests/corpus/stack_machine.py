# A compiler of expressions to a stack machine, which then runs.
import ast
import operator

OPS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod", ast.Lt: "lt", ast.Eq: "eq"}
RUN = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.floordiv, "mod": operator.mod, "lt": operator.lt, "eq": operator.eq}

def compile_(node):
    match node:
        case ast.Module(body=body):
            for statement in body:
                yield from compile_(statement)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield from compile_(value)
            yield "store", name
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[value])):
            yield from compile_(value)
            yield "print", None
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            yield from compile_(left)
            yield from compile_(right)
            yield OPS[type(op)], None
        case ast.While(test=test, body=body):
            condition, inner = list(compile_(test)), [i for s in body for i in compile_(s)]
            yield from condition
            yield "jump_if_not", len(inner) + 1
            yield from inner
            yield "jump", -(len(condition) + len(inner) + 2)
        case ast.Constant(value=value):
            yield "push", value
        case ast.Name(id=name):
            yield "load", name

code = list(compile_(ast.parse("a = 0\nb = 1\nwhile a < 60:\n    print(a)\n    c = a + b\n    a = b\n    b = c\nprint(b * 2 - 1)")))
print(len(code), code[:4])
stack, names, at = [], {}, 0
while at < len(code):
    op, arg = code[at]
    if op == "push":
        stack.append(arg)
    elif op == "load":
        stack.append(names[arg])
    elif op == "store":
        names[arg] = stack.pop()
    elif op == "print":
        print(stack.pop())
    elif op == "jump" or op == "jump_if_not" and not stack.pop():
        at += arg
    elif op in RUN:
        right = stack.pop()
        stack.append(RUN[op](stack.pop(), right))
    at += 1
