# As CPython 3.12 and later print it, which add floats more exactly. Looks at code: names that are assigned, calls, and a changed tree that runs.
import ast

code = """
def area(r):
    "The area."
    return 3.14 * r ** 2
total = sum(area(r) for r in range(3))
print(total)
"""
tree = ast.parse(code)
print([node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)], ast.get_docstring(tree.body[0]))
print([ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)])

class Doubled(ast.NodeTransformer):
    def visit_Constant(self, node):
        return ast.copy_location(ast.Constant(node.value * 2), node) if node.value == 3 else node

exec(compile(ast.fix_missing_locations(Doubled().visit(tree)), "<tree>", "exec"))
print(ast.literal_eval("{'a': [1, -2.5, None], 'b': (True, b'x')}"))
try:
    ast.literal_eval("__import__('os')")
except ValueError:
    print("refused")
