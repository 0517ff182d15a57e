"""An HTML page taken apart: for the tests of reports."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page's elements, texts by element, and ids."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.ids, self.links = [], set(), []
        self.texts, self._open = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._open.append(tag)
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        self.links += [attributes[key] for key in ("href", "src") if key in attributes]

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" not in self._open and "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]
