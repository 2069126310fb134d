"""What axe-core calls critical or serious, and its rules of structure, as far as they apply to pages without a server.

The names of the rules are axe-core's (version 4, doc/rule-descriptions.md).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "link", "hr", "wbr"}
# SVG's elements without content are closed in place.
LANDMARKS = ("main", "nav", "header", "footer", "aside")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


@dataclass
class Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)
    parent: "Node | None" = None

    def walk(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def inside(self, *tags: str) -> bool:
        return self.parent is not None and (self.parent.tag in tags or self.parent.inside(*tags))

    def name(self) -> str:
        """The accessible name, more or less."""
        images = " ".join(node.attributes.get("alt", "") for node in self.walk() if node.tag == "img")
        return (self.attributes.get("aria-label", "") or self.text() or images).strip()


class _Tree(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.at = Node("document")
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs}, parent=self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag and self.at.parent, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


def tree(text: str) -> Node:
    """The elements of a page, each of which must be closed where it belongs."""
    parsed = _Tree(text)
    assert parsed.at is parsed.root, f"<{parsed.at.tag}> is not closed"
    return parsed.root


def faults(text: str) -> list[str]:
    """What a page does wrong, a line for each fault."""
    page = tree(text)
    nodes = list(page.walk())
    by_tag: dict[str, list[Node]] = {}
    for node in nodes:
        by_tag.setdefault(node.tag, []).append(node)
    return [*_document(by_tag), *_headings(nodes), *(fault for node in nodes for fault in _element(node))]


def _document(by_tag: dict[str, list[Node]]) -> Iterator[str]:
    every = [node for nodes in by_tag.values() for node in nodes]
    if not by_tag["html"][0].attributes.get("lang"):
        yield "html-has-lang"
    if not by_tag["title"][0].text().strip():
        yield "document-title"
    if len(by_tag.get("main", [])) != 1:
        yield "landmark-one-main"
    names = [node.name() if node.attributes.get("aria-label") else "" for node in by_tag.get("nav", [])]
    if len(set(names)) < len(names) or "" in names:
        yield "landmark-unique: nav"
    ids = Counter(node.attributes["id"] for node in every if "id" in node.attributes)
    yield from (f"duplicate-id: {name}" for name, count in ids.items() if count > 1)
    for link in by_tag.get("a", []):
        target = link.attributes.get("href", "")
        if target.startswith("#") and target[1:] not in ids:
            yield f"skip-link, or a link to nothing: {target}"
    for node in by_tag["body"][0].children:
        if isinstance(node, str):
            if node.strip():
                yield f"region: {node.strip()[:40]}"
        elif node.tag not in (*LANDMARKS, "script") and node.attributes.get("class") != "skip":
            yield f"region: {node.tag}"
    for node in by_tag["meta"]:
        if re.search(r"user-scalable=no|maximum-scale", node.attributes.get("content", "")):
            yield "meta-viewport"
        if node.attributes.get("http-equiv") == "refresh":
            yield "meta-refresh"


def _headings(nodes: list[Node]) -> Iterator[str]:
    level = 0
    if sum(node.tag == "h1" for node in nodes) != 1:
        yield "page-has-heading-one"
    for node in nodes:
        if node.tag in HEADINGS:
            if int(node.tag[1]) > level + 1:
                yield f"heading-order: {node.text()}"
            if not node.text().strip():
                yield "empty-heading"
            level = int(node.tag[1])


def _element(node: Node) -> Iterator[str]:
    tag, values = node.tag, node.attributes
    parents = node.parent.tag if node.parent else ""
    hidden = values.get("aria-hidden") == "true"
    if tag == "img" and not values.get("alt", "").strip():
        yield "image-alt"
    if tag == "svg" and parents != "svg" and not hidden and not node.inside("svg"):
        titles = [child for child in node.children if isinstance(child, Node) and child.tag == "title"]
        named = values.get("aria-label") or (titles and titles[0].text().strip())
        if not node.inside("span") and (values.get("role") != "img" or not named):
            yield f"svg-img-alt: {node.text()[:40]}"
    if values.get("role") == "img" and tag != "svg" and not values.get("aria-label"):
        yield "role-img-alt"
    if tag in ("a", "button", "summary") and not node.name():
        yield f"{tag}-name"
    if tag in ("input", "select", "textarea"):
        labelled = values.get("aria-label") or values.get("aria-labelledby") or node.inside("label")
        if not labelled and values.get("type") not in ("hidden", "submit", "button"):
            yield "label"
    if tag in ("a", "button", "input", "summary") and any(
        child is not node and child.tag in ("a", "button", "input") for child in node.walk()
    ):
        yield f"nested-interactive: {tag}"
    if tag == "th" and values.get("scope") not in ("row", "col"):
        yield f"scope-attr-valid: {node.text()}"
    if tag in ("ul", "ol"):
        yield from (f"list: {one.tag}" for one in node.children if isinstance(one, Node) and one.tag != "li")
    if tag == "li" and parents not in ("ul", "ol"):
        yield "listitem"
    if tag in ("dt", "dd") and not node.inside("dl"):
        yield "dlitem"
    if tag == "dl":
        yield from (
            f"definition-list: {one.tag}" for one in node.children if isinstance(one, Node) and one.tag != "div"
        )
    if values.get("class") == "scroll" and not (values.get("tabindex") == "0" and values.get("aria-label")):
        yield "scrollable-region-focusable"
    if values.get("tabindex", "0") not in ("0", "-1"):
        yield "tabindex"
    if hidden and any(child.tag in ("a", "button", "input") for child in node.walk()):
        yield "aria-hidden-focus"
    if any(name.startswith("on") for name in values) or values.get("href", "").startswith("javascript:"):
        yield f"a handler in the page: {tag}"
    for name in ("src", "href"):
        if tag != "a" and not values.get(name, "data:").startswith(("data:", "#")):
            yield f"loaded from elsewhere: {values[name]}"
    if tag == "pre" and values.get("tabindex") != "0":
        yield "scrollable-region-focusable: pre"


# --- contrast --------------------------------------------------------------------------------------------------------


def modes(css: str) -> dict[str, dict[str, str]]:
    """The colours of both modes, light and dark: name -> six hexadecimal digits."""
    light, dark = re.findall(r":root \{[^}]*\}", css)[:2]
    colours = [dict(re.findall(r"--([a-z]+): #([0-9a-f]{6})", block)) for block in (light, dark)]
    return {"light": colours[0], "dark": colours[0] | colours[1]}


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, definition of relative luminance)."""
    lighter, darker = sorted(map(_luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def mixed(one: str, other: str, share: float) -> str:
    """``share`` of one colour in another, as ``color-mix(in srgb, ...)`` mixes them."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (0, 2, 4)]
    return "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)
