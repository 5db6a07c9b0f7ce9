"""What the contract's checks are run against."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from harness.errors import BackendError
from harness.sessions.protocol import AsynchronousSession, Session, SessionRequest
from harness.sessions.registry import Backend


class Skipped(Exception):
    """The check says nothing about this backend; says why."""


@dataclass(frozen=True)
class Subject:
    """What is checked: a backend, and the request its sessions are opened with."""

    backend: Backend
    request: SessionRequest

    def open(self, **changes: Any) -> Session:
        """A session of the request, with some of it changed."""
        return self.backend.open_session(dataclasses.replace(self.request, **changes))

    def open_asynchronous(self) -> AsynchronousSession:
        """A session of the request that takes images by `submit`."""
        session = self.open(throughput=True)
        if not hasattr(session, "submit"):
            session.close()
            raise Skipped("it has no submit")
        return cast(AsynchronousSession, session)

    def open_another(self) -> Session:
        """One more session on the same device, while others are open."""
        try:
            return self.open()
        except BackendError as error:
            raise Skipped(f"the device takes no second session ({error.what})") from error
