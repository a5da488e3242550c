"""What is sent with a call: JSON, and said to be."""

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser


class NotJson(Exception):
    """The Content-Type names something else."""


class JsonOnly(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        """Raises NotJson, ValueError."""
        kind = request.content_type or ""
        if kind and kind != "application/json" and not kind.endswith("+json"):
            raise NotJson(kind)
        return json.loads(request.body)
