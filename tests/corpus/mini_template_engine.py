# A template engine that compiles to Python.
import re

def compile_template(source):
    code, indent = ["def render(context):", "  out = []"], 1

    def add(line):
        code.append("  " * indent + line)

    for part in re.split(r"(\{\{.*?\}\}|\{%.*?%\})", source):
        if part.startswith("{{"):
            name, *filters = (piece.strip() for piece in part[2:-2].split("|"))
            expression = f"eval({name!r}, {{}}, context)"
            for f in filters:
                expression = f"str.{f}(str({expression}))"
            add(f"out.append(str({expression}))")
        elif part.startswith("{%"):
            words = part[2:-2].split()
            if words[0] == "for":
                add(f"for item in eval({words[3]!r}, {{}}, context):")
                indent += 1
                add(f"context = dict(context, {words[1]}=item)")
            elif words[0] == "if":
                add(f"if eval({' '.join(words[1:])!r}, {{}}, context):")
                indent += 1
            else:
                indent -= 1
        elif part:
            add(f"out.append({part!r})")
    code.append("  return ''.join(out)")
    namespace = {}
    exec("\n".join(code), namespace)
    return namespace["render"]

render = compile_template("Dear {{ name | title }},\n{% for item in cart %}- {{ item['n'] }} x {{ item['what'] }}{% if item['n'] > 2 %} (many){% end %}\n{% end %}Total: {{ sum(i['n'] for i in cart) }}")
print(render({"name": "ada lovelace", "cart": [{"n": 1, "what": "tea"}, {"n": 3, "what": "cake"}], "sum": sum}))
