"""The address and port on which the page listens: ``127.0.0.1:9464``, ``[::1]:9464``."""

from __future__ import annotations

import ipaddress

from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted

_EXAMPLE = "write an address of this computer and a port, such as `127.0.0.1:9464`"


def parse_listen(text: object) -> str:
    """Return ADDRESS:PORT, of which an IPv6 address has brackets.  Raises `UsageError`.

    A name is refused, but for ``localhost``: whether other computers reach it would depend on how
    it is resolved.
    """
    if not isinstance(text, str):
        raise UsageError(f"{quoted(text)} is not an address: {_EXAMPLE}")
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise UsageError(f"{quoted(text)} has no port from 1 to 65535: {_EXAMPLE}")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise UsageError(f"{quoted(text)} has no IP address: {_EXAMPLE}") from None
    if (address.version == 6) != host.startswith("["):
        raise UsageError(f"{quoted(text)}: write an IPv6 address in brackets: `[::1]:9464`")
    name = f"[{address}]" if address.version == 6 else str(address)
    return f"{name}:{int(port)}"


def host_and_port(listen: str) -> tuple[str, int]:
    """Return address, without brackets, and port of a parsed text."""
    host, _, port = listen.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(listen: str) -> bool:
    """Return whether only programs of this computer reach a parsed address."""
    return ipaddress.ip_address(host_and_port(listen)[0]).is_loopback


def page_url(listen: str, host_name: str) -> str:
    """Return where a browser finds the page of a parsed address.

    Args:
        listen: the address; of one for all interfaces the name of the computer takes the place.
        host_name: that name.

    """
    host, port = host_and_port(listen)
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return f"http://{host_name}:{port}/"
    return f"http://{listen}/"
