"""`{% translate %}` and `{% url %}` of pages that have hundreds of them: as Django's, worked out once and kept."""

from functools import lru_cache
from typing import Any

from django.template.base import Node, Parser, Token
from django.template.context import Context
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as django_url
from django.templatetags.i18n import TranslateNode, do_translate
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from ui.addresses import address


class Translation(Node):
    """Words that stand in the template themselves, without filters."""

    child_nodelists = ()

    def __init__(self, words: str, asvar: str | None) -> None:
        self.words, self.asvar = words, asvar

    def render(self, context: Context) -> str:
        found = _translated(get_language() or "", self.words)
        if self.asvar is None:
            return found
        context[self.asvar] = found
        return ""


@lru_cache(maxsize=20_000)
def _translated(language: str, words: str) -> SafeString:
    """Percent signs are doubled in catalogues of templates."""
    return mark_safe(gettext(words.replace("%", "%%")).replace("%%", "%"))  # noqa: S308 - a template's own words


def translate(parser: Parser, token: Token) -> Node:
    node: TranslateNode = do_translate(parser, token)
    words, filters = node.filter_expression.var, node.filter_expression.filters
    literal = getattr(words, "literal", None)
    if node.noop or node.message_context or filters or not isinstance(literal, str):
        return node
    return Translation(str(literal), node.asvar)


class Address(URLNode):
    """Without named arguments."""

    def render(self, context: Context) -> str:
        args = [arg.resolve(context) for arg in self.args]
        found = address(self.view_name.resolve(context), *args)
        if self.asvar:
            context[self.asvar] = found
            return ""
        return str(conditional_escape(found)) if context.autoescape else found


def url(parser: Parser, token: Token) -> Node:
    """Not for addresses that may not exist: `as` does not hide that here."""
    node: Any = django_url(parser, token)
    return node if node.kwargs else Address(node.view_name, node.args, {}, node.asvar)
