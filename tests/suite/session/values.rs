//! The value of a cell, and the lines that its errors and warnings name, however it is written.

use super::*;

#[test]
fn the_value_of_a_cell_is_that_of_its_last_expression_wherever_it_begins_and_ends() {
    let desk = Desk::new();
    let mut client = desk.client();
    for (code, repr) in [
        ("1 + 1", "2"),
        ("\n\n3 \n\n", "3"),
        ("x = 4\n\n\nx  # a = b", "4"),
        ("x = 5\nx;", ""),
        ("x = 6; x", "6"),
        ("x = 7", ""),
        ("(x :=\n 8)", "8"),
        ("[1,\n2\n]", "[1, 2]"),
        ("max(\n1,\nx)", "8"),
        ("'''a\nb'''", "'a\\nb'"),
        ("'''\nx\n'''", "'\\nx\\n'"),
        ("y = '''\nx\n'''", ""),
        ("y = [\nx\n]", ""),
        ("y = \\\nx", ""),
        ("1 + \\\nx", "9"),
        ("*[1], x", "(1, 8)"),
        ("if True:\n    x", ""),
        ("if True:\n    x = 10\nx", "10"),
        ("def f(n):\n    return n\nf(n=x)", "10"),
        ("for k in range(2): pass\nelse:\n    k\nk", "1"),
        ("x = {'a': 1}\nx['a']", "1"),
        ("x['b'] = 2", ""),
        ("x == {'a': 1, 'b': 2}", "True"),
        ("'a;b'", "'a;b'"),
        ("x = 11\r\nx + 1", "12"),
        ("case = [12]\nmatch x:\n    case [_]: 1\ncase[0]", "12"),
        ("import asyncio\nx = await asyncio.sleep(0, 13)\nawait asyncio.sleep(0, x)", "13"),
        (
            "from __future__ import annotations\ndef f(a: nothing): pass\n(lambda: f.__annotations__)()",
            "{'a': 'nothing'}",
        ),
        ("'''text'''\nglobals()['__doc__']", "'text'"),
    ] {
        let answer = client.cell(&format!("value of {code}"), code);
        assert_eq!((&answer["type"], answer["repr"].as_str().unwrap_or_default()), (&json!("result"), repr), "{code}");
    }
    for (code, lines) in [
        (" 1", "line 1\n    1"),
        ("x = 1\n1 +", "line 2\n    1 +"),
        ("f(\n", "line 1\n    f("),
        ("yield 1", "line 1"),
        ("x = (\n1)\n)", "line 3\n    )"),
        ("x = 1\n\n\n1 / 0", "line 4, in <module>\n    1 / 0"),
        ("\n\nnothing", "line 3, in <module>\n    nothing"),
        ("def g():\n    1 / 0\ng()", "line 3, in <module>\n    g()\n"),
        ("g()", "line 2, in g\n    1 / 0"),
        ("(1 +\n 1 / 0)", "line 2, in <module>\n    1 / 0"),
    ] {
        let answer = client.cell(&format!("error of {code}"), code);
        let traceback = answer["traceback"].as_str().unwrap_or_default();
        assert!(traceback.contains(lines), "{code}: {answer}");
    }
    for (code, warning) in [
        ("x = 1\nx is 1", ":2: SyntaxWarning: \"is\" with 'int' literal."),
        (
            "assert (x, 'a')\nx",
            ":1: SyntaxWarning: assertion is always true, perhaps remove parentheses?\n  assert (x, 'a')\n",
        ),
        ("x = 1 is 2\n[0][0]", ":1: SyntaxWarning: \"is\" with 'int' literal."),
        ("x = 1 is 2\nx\n)(", ""),
    ] {
        let before = client.printed().len();
        client.cell(&format!("warning of {code}"), code);
        let printed = client.printed()[before..].to_owned();
        assert_eq!(printed.matches("Warning").count(), usize::from(!warning.is_empty()), "{code}: {printed}");
        assert!(printed.contains(warning), "{code}: {printed}");
    }
}
