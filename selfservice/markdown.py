"""The one way by which a text of people becomes HTML: Markdown, and of that only what is harmless."""

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt

TAGS = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "h3", "h4", "blockquote", "hr", "s"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
_reader = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def rendered(text: str) -> SafeString:
    """Cleaned when it is read, so that a stricter rule of tomorrow holds for what was written yesterday."""
    lower = {"h1": "h3", "h2": "h3"}  # the page has headings of its own
    tokens = _reader.parse(text)
    for token in tokens:
        token.tag = lower.get(token.tag, token.tag)
    made = _reader.renderer.render(tokens, _reader.options, {})
    return SafeString(nh3.clean(made, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}))
