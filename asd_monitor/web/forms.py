"""Forms: read, and checked to be of this page."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request

from asd_monitor.errors import UsageError
from asd_monitor.web.access_token import Access
from asd_monitor.web.guard import Visitor

_MAX_FIELDS = 32
_KEY = "form_key"


class ForeignFormError(UsageError):
    """A form was not made by this page for this session."""


async def read_form(request: Request, access: Access) -> dict[str, str]:
    """Return the fields of a form but its key; text loses spaces at its ends.

    A program that sends the token in a header needs no key.

    Raises UsageError: it is malformed, or not of this session.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UsageError("send the fields as application/x-www-form-urlencoded")
    try:
        fields = parse_qs(
            (await request.body()).decode(),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError as error:  # also UnicodeError
        raise UsageError("the form cannot be read: send UTF-8, and each field once") from error
    values = {name: given[0].strip() for name, given in fields.items()}
    key = values.pop(_KEY, "")
    visitor: Visitor = request.state.visitor
    if not visitor.by_header and not access.is_form_key(key, visitor.session):
        raise ForeignFormError("the form is too old: load the page again and repeat it")
    return values
