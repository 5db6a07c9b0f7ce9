"""From raw outputs to answers and records: decode, write the accuracy record, keep the sample's times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from harness.pipeline.mailbox import Mailbox
from harness.records import Decoding, Detections, RawOutputs

Answer = tuple[int, int, int]
"""(LoadGen's id of the sample, address of its accuracy record, bytes of it)."""

BATCH_NS = 1_000_000
"""Where nobody waits for a single answer, answers and completions wait so long for each other."""
REHEARSAL = -1
"""In place of a session's index, and of LoadGen's id: what is decoded is answered to nobody and recorded nowhere."""


class DecodeSetup(NamedTuple):
    """How raw outputs become what is written.

    Attributes:
        decode: raw outputs → detections, with ``image_size=`` where there are sizes; None: nothing is decoded, and
            every answer is empty.
        parameters: what `decode` was bound to.
        image_decoder: what decodes without Python, a capsule of ``harness/native/image_decoder.h``; None: there is no
            such thing.
        label_ids: what is written for the labels 1, 2, …; None: the label itself.
        image_sizes: sample index → width and height of its image, for a decoder that needs them; else empty.
    """

    decode: Callable[..., Detections] | None
    parameters: Decoding
    image_decoder: object | None = None
    label_ids: Sequence[int] | None = None
    image_sizes: Sequence[tuple[int, int]] = ()


class Decoded(Protocol):
    """What `Postprocess.prepare` made of the outputs of an image, for `Postprocess.post`."""

    @property
    def outputs(self) -> RawOutputs:
        """What it was made of; they hold as long as the session has no further image."""
        ...

    @property
    def decoded_ns(self) -> int:
        """When it was done."""
        ...


class Failure(NamedTuple):
    """A sample whose outputs turned out to be of no use when they were decoded."""

    session: int
    sample_id: int
    sample_index: int
    issued_ns: int
    what: str


class Postprocess(Protocol):
    """Used by the one thread that drives the sessions, but for `prepare`."""

    @property
    def decoded(self) -> type[Decoded]:
        """The type of what `prepare` gives."""
        ...

    @property
    def mailbox(self) -> Mailbox:
        """Rung when there is something to collect."""
        ...

    @property
    def beside(self) -> bool:
        """Whether outputs are decoded on other threads while their session goes on."""
        ...

    @property
    def pending(self) -> int:
        """How many are posted and not collected: their outputs are in memory."""
        ...

    @property
    def most_pending(self) -> int:
        """The number of pending samples at which no session should be given a further one."""
        ...

    def prepare(self, outputs: RawOutputs, sample_index: int) -> Decoded:
        """Decodes where the inference was, on any number of threads; gives what `post` takes.

        Raises:
            Exception: the outputs cannot be decoded.
        """
        ...

    def post(
        self,
        session: int,
        sample_id: int,
        sample_index: int,
        issued_ns: int,
        started_ns: int,
        inferred_ns: int,
        outputs: Any,
        /,
    ) -> None:
        """Takes a sample's outputs, or what `prepare` made of them; what becomes of them is collected later.

        Raises:
            Exception: the outputs cannot be decoded.
        """
        ...

    def finish(
        self,
        session: int,
        sample_id: int,
        sample_index: int,
        issued_ns: int,
        started_ns: int,
        inferred_ns: int,
        outputs: Any,
        /,
    ) -> Answer:
        """The same at once, on the calling thread. The answer holds until `answered`.

        Raises:
            Exception: the outputs cannot be decoded.
        """
        ...

    def collect(self) -> tuple[Sequence[Answer], Sequence[Failure]]:
        """What was done since. The answers hold until `answered`."""
        ...

    def answered(self) -> None:
        """LoadGen has copied the collected answers: now their samples are recorded and counted."""
        ...

    def records(self, session: int) -> npt.NDArray[np.int64]:
        """(samples, columns) int64 in the order of `COLUMNS`; not a copy, so for a session that has ended its work."""
        ...

    def close(self) -> None:
        """Ends its threads."""
        ...
