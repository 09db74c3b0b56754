# A Lisp in some lines: closures, recursion, lists.
import operator
from functools import reduce

def parse(text):
    stack = [[]]
    for token in text.replace("(", " ( ").replace(")", " ) ").split():
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            try:
                stack[-1].append(int(token))
            except ValueError:
                stack[-1].append(token)
    return stack[0]

class Scope(dict):
    def __init__(self, names=(), outer=None):
        super().__init__(names)
        self.outer = outer

    def __missing__(self, name):
        if self.outer is None:
            raise NameError(name)
        return self.outer[name]

def evaluate(x, scope):
    if isinstance(x, str):
        return scope[x]
    if not isinstance(x, list):
        return x
    match x:
        case ["if", test, yes, no]:
            return evaluate(yes if evaluate(test, scope) else no, scope)
        case ["define", name, value]:
            scope[name] = evaluate(value, scope)
        case ["lambda", names, body]:
            return lambda *args: evaluate(body, Scope(zip(names, args), scope))
        case ["quote", value]:
            return value
        case _:
            function, *args = (evaluate(each, scope) for each in x)
            return function(*args)

top = Scope({"+": lambda *a: sum(a), "*": lambda *a: reduce(operator.mul, a), "-": operator.sub, "<": operator.lt, "car": lambda l: l[0], "cdr": lambda l: l[1:], "cons": lambda a, l: [a, *l], "null?": lambda l: not l})
program = """(define fact (lambda (n) (if (< n 2) 1 (* n (fact (- n 1))))))
(fact 10)
(define map (lambda (f l) (if (null? l) l (cons (f (car l)) (map f (cdr l))))))
(map (lambda (x) (* x x)) (quote (1 2 3 4)))
(define adder (lambda (n) (lambda (m) (+ n m))))
((adder 3) 4)
(undefined 1)"""
for form in parse(program):
    try:
        value = evaluate(form, top)
        if value is not None:
            print(value)
    except NameError as error:
        print("no name", error)
