# An editor with commands that are undone, and observers.
import weakref

class Document:
    def __init__(self):
        self.text, self.done, self.undone, self.watchers = "", [], [], weakref.WeakSet()

    def run(self, command):
        self.undone.clear()
        self._do(command)

    def _do(self, command):
        command.do(self)
        self.done.append(command)
        for watcher in self.watchers:
            watcher.changed(self)

    def undo(self):
        if self.done:
            command = self.done.pop()
            command.undo(self)
            self.undone.append(command)

    def redo(self):
        if self.undone:
            self._do(self.undone.pop())

class Insert:
    def __init__(self, at, text):
        self.at, self.text = at, text

    def do(self, d):
        d.text = d.text[: self.at] + self.text + d.text[self.at :]

    def undo(self, d):
        d.text = d.text[: self.at] + d.text[self.at + len(self.text) :]

class Upper:
    def do(self, d):
        self.before, d.text = d.text, d.text.upper()

    def undo(self, d):
        d.text = self.before

class Printer:
    def changed(self, d):
        print("now", repr(d.text))

document, printer = Document(), Printer()
document.watchers.add(printer)
document.run(Insert(0, "world"))
document.run(Insert(0, "hello "))
document.run(Upper())
document.undo()
document.undo()
print(document.text)
document.redo()
del printer
document.run(Insert(0, "quiet "))
print(document.text, len(document.watchers))
