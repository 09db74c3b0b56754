# Tests that run with unittest, and doctests, with their results.
import doctest
import io
import unittest
from unittest import mock

def slugify(text):
    """Makes a slug.

    >>> slugify("Hello, World!")
    'hello-world'
    >>> slugify("  ")
    ''
    """
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())

class Tests(unittest.TestCase):
    def setUp(self):
        self.items = [1, 2]

    def test_slug(self):
        for text, slug in (("A b", "a-b"), ("x--y", "x-y")):
            with self.subTest(text):
                self.assertEqual(slugify(text), slug)

    def test_failing(self):
        self.assertIn(3, self.items)

    @unittest.skip("not today")
    def test_skipped(self): ...

    def test_mock(self):
        fetch = mock.Mock(side_effect=[1, ValueError("no")])
        self.assertEqual(fetch("a", b=2), 1)
        self.assertRaises(ValueError, fetch)
        fetch.assert_any_call("a", b=2)
        self.assertEqual(fetch.call_count, 2)

out = io.StringIO()
result = unittest.TextTestRunner(stream=out, verbosity=0).run(unittest.defaultTestLoader.loadTestsFromTestCase(Tests))
print(result.testsRun, len(result.failures), len(result.skipped), result.wasSuccessful())
print([line for line in out.getvalue().splitlines() if line.startswith("AssertionError")])
finder = doctest.DocTestFinder().find(slugify, "slugify", globs={"slugify": slugify})
print(doctest.DocTestRunner().run(finder[0]))
