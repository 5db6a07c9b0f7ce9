"""Device runtimes, one file each behind one Protocol, found by name and imported only when used."""

from harness.sessions.protocol import Session, SessionRequest
from harness.sessions.registry import backend_names, open_session

__all__ = ["Session", "SessionRequest", "backend_names", "open_session"]
