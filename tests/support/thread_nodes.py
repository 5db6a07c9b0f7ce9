"""Nodes of a cluster without a cluster: each is in the test's own process, and a call is a thread."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from harness.cluster.messages import NodeGone, NodePlace
from harness.cluster.node import Node


class ThreadNode:
    """A node whose failures are made by the test. Implements `RemoteNode`.

    Attributes:
        node: what does the work.
        cut: calls neither arrive nor return, as with a cable pulled out.
        ended: it was ended by the host.
    """

    def __init__(self, place: NodePlace) -> None:
        self.place = place
        self.node = Node(orphaned_s=0)
        self.cut = False
        self.ended = False
        self.held_back: list[tuple[Future[Any], Any]] = []
        self._open: set[Future[Any]] = set()
        self._gone: str | None = None

    def call(self, method: str, *args: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        if self._gone is not None:
            answer.set_exception(NodeGone(self._gone))
            return answer
        self._open.add(answer)
        if not self.cut:
            threading.Thread(target=self._run, args=(answer, method, args), daemon=True).start()
        return answer

    def kill(self, why: str = "its process was killed") -> None:
        """What it was at is lost, and every call fails from now on."""
        self._gone = why
        for answer in list(self._open):
            self._settle(answer, NodeGone(why))

    def mend(self) -> None:
        """What was held back arrives now."""
        self.cut = False
        for answer, result in self.held_back:
            self._settle(answer, result)

    def end(self) -> None:
        self.ended = True
        self.kill("it was ended")

    def _run(self, answer: Future[Any], method: str, args: tuple[Any, ...]) -> None:
        result: Any
        try:
            result = getattr(self.node, method)(*args)
        except Exception as error:  # noqa: BLE001 - as a call to another process, which gives every error back
            result = error
        if self.cut:
            self.held_back.append((answer, result))
        else:
            self._settle(answer, result)

    def _settle(self, answer: Future[Any], result: Any) -> None:
        try:
            self._open.remove(answer)
        except KeyError:  # it is settled already, perhaps on another thread
            return
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)
