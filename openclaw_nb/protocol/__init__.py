"""The OpenClaw gateway protocol, versions 3 and 4, as pure state: no sockets, no clock, no asyncio."""

__all__: list[str] = []
