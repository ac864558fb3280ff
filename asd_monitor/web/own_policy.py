"""Pages that asd-monitor has written to disk: evidence and reports.

They have one script inline at most; its hash is the only one that their policy allows.
"""

from __future__ import annotations

import base64
import hashlib
import re

from starlette.responses import Response

_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def page_with_own_policy(content: bytes) -> Response:
    """Return a page from disk, which this page may frame; it can neither load nor send anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each).digest()).decode()}'"
        for each in _SCRIPT.findall(content)
    )
    scripts = hashes or "'none'"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline';"
        " img-src data:; media-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'self'; sandbox allow-scripts allow-same-origin"
    )
    headers = {"content-security-policy": policy, "x-frame-options": "SAMEORIGIN"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)
