"""A page as a browser would read it, and strict about its form."""

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr", "base", "source", "embed", "track", "col"}


class Element:
    """One element: name, attributes, children (elements and text)."""

    def __init__(self, name, attributes):
        self.name, self.attributes, self.children = name, attributes, []

    def all(self, *names):
        """The elements of these names in it, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                if not names or child.name in names:
                    yield child
                yield from child.all(*names)

    def text(self):
        parts = [c.text() if isinstance(c, Element) else c for c in self.children]
        return re.sub(r"[ \n]+", " ", "".join(parts)).strip()

    def get(self, name, default=None):
        return self.attributes.get(name, default)


class Page(HTMLParser):
    """Parses a page; raises AssertionError where a tag is not closed in its turn."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source, self.root = source, Element("page", {})
        self._open = [self.root]
        self.feed(source)
        self.close()
        assert self._open == [self.root], f"never closed: {[e.name for e in self._open]}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, dict(attributes))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data):
        self._open[-1].children.append(data)

    def all(self, *names):
        return list(self.root.all(*names))

    def by_id(self, name):
        (found,) = [element for element in self.all() if element.get("id") == name]
        return found

    def ids(self):
        return [element.get("id") for element in self.all() if element.get("id") is not None]

    def text(self):
        """What a reader reads: all but style and script."""
        (body,) = self.all("body")
        return " ".join(
            c.text() for c in body.children if isinstance(c, Element) and c.name != "script"
        )

    def results(self):
        """The embedded JSON."""
        (script,) = self.all("script")
        assert script.get("type") == "application/json"
        return json.loads("".join(script.children))

    def rows(self, table):
        """The rows of a table that have a key: the key and the cells after the first."""
        return {
            row.get("data-row"): list(row.all("td"))
            for row in self.by_id(table).all("tr")
            if row.get("data-row")
        }
