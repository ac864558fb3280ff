"""TCP connections whose time is limited, with that of looking the name of the host up.

The system may try a name for much longer, and only a thread can leave it alone.
"""

from __future__ import annotations

import socket
import threading

from asd_monitor.diagnosis.programs import within

RESOLVE_LIMIT_S = 5.0
"""Of the host name."""


def connect_in_time(host: str, port: int, *, limit_s: float) -> socket.socket:
    """Return a connected socket.

    Args:
        host: name or address.
        port: of TCP.
        limit_s: for the connection; `RESOLVE_LIMIT_S` more for the name.

    Raises:
        OSError: there is no connection; `socket.gaierror` where the name is the reason, and
            `TimeoutError` where a limit is over.

    """
    late = threading.Event()

    def connect() -> socket.socket:
        try:
            found = socket.create_connection((host, port), limit_s)
        except UnicodeError as error:  # of a name that IDNA cannot encode
            raise socket.gaierror(f"the name {host} is not valid") from error
        if late.is_set():
            found.close()
        return found

    nothing: socket.socket | None = None
    found = within(limit_s + RESOLVE_LIMIT_S, connect, nothing)
    if found is None:
        late.set()
        raise TimeoutError(f"{host} was not reached in time")
    return found
