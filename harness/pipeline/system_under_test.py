"""What the sessions of a test are opened with and how their outputs are decoded: on one machine and on every node."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import HarnessError, RunFailed, named_line
from harness.model.io_check import check_model
from harness.model.protocol import DetectionModel
from harness.model.registry import load_model
from harness.pipeline.devices import DeviceSlot
from harness.pipeline.dispatch import Respond, Retired
from harness.pipeline.postprocess import DecodeSetup, Postprocess
from harness.pipeline.postprocessors import new_postprocess
from harness.pipeline.pulse import Pulse
from harness.pipeline.session_queue import SessionQueue
from harness.scenarios import Scenario
from harness.sessions import Session, SessionRequest, open_session
from harness.sessions.protocol import Tensor
from harness.sessions.registry import load_backend
from harness.settings import BackendSettings, ModelSettings


@contextmanager
def checked_session(
    model: ModelSettings, backend: BackendSettings, device: str, model_file: Path | None, index: int = 0
) -> Iterator[str]:
    """Opens a session to see that the model fits; gives the dtype of its input.

    Raises:
        ModelError: it does not.
        BackendError: the device cannot be used.
    """
    loaded = load_model(model.name, model_file)
    request = SessionRequest.of(loaded, model_file, device=device, index=index, threads=1, options=backend.options)
    with load_backend(backend.name).open_session(request) as session:
        check_model(session.input, session.outputs, loaded.input, loaded.outputs, where=str(model_file or device))
        yield session.input.dtype


@dataclass(frozen=True)
class SystemUnderTest:
    """The part of a test's plan that its sessions and decoders depend on. Picklable.

    Attributes:
        title: the test's, for people.
        accuracy: every value of every output is looked at.
        model_file: what the sessions load; None where the backend needs none.
        watchdog_s: a session that is at one sample for longer than this hangs.
        startup_s: no session was opened for so long: those that are left hang.
        label_ids: what the accuracy log writes for the labels 1, 2, …; None: the label itself.
        image_sizes: width and height of each sample's image, for a model whose decoder needs them; else empty.
        profile: sessions count where an inference's time goes.
    """

    title: str
    scenario: Scenario
    accuracy: bool
    model: ModelSettings
    model_file: Path | None
    backend: BackendSettings
    watchdog_s: float
    startup_s: float
    label_ids: tuple[int, ...] | None
    image_sizes: tuple[tuple[int, int], ...]
    profile: bool = False

    @property
    def batches(self) -> bool:
        """Whether nobody waits for a single answer."""
        return self.scenario == "offline"

    @property
    def in_flight(self) -> int:
        """How many images a blocking session is given at once."""
        # a query of Server is better off with the next free session than as the second one of a busy one
        return 1 if self.scenario == "server" else 2

    @property
    def goes_on(self) -> bool:
        """Whether the test goes on without a device that fails."""
        return self.backend.on_device_failure == "continue"

    def open_session(self, model: DetectionModel, slot: DeviceSlot) -> Session:
        """Opens the session of a slot.

        Raises:
            HarnessError: it cannot be opened; names the slot and the test.
        """
        request = SessionRequest.of(
            model,
            self.model_file,
            device=slot.device,
            index=slot.index,
            threads=self.backend.threads or max(1, len(slot.cores)),
            options=self.backend.options,
            throughput=self.scenario != "single_stream",
            profile=self.profile,
        )
        where = f"opening {slot.name} in {self.title}"
        try:
            return open_session(self.backend.name, request)
        except HarnessError as error:
            error.where = error.where or where
            raise
        except Exception as error:
            raise RunFailed(named_line(error), where=where) from error

    def decode_setup(self, model: DetectionModel) -> DecodeSetup:
        """How raw outputs become answers."""
        parameters = self.model.decoding(model.decoding)
        if self.model.decoder == "none":
            return DecodeSetup(None, parameters)
        decoder = model.decoder(self.model.decoder)
        return DecodeSetup(
            functools.partial(decoder.decode, **asdict(parameters)),
            parameters,
            getattr(decoder, "image_decoder", None),
            self.label_ids,
            self.image_sizes,
        )

    def new_postprocess(
        self, model: DetectionModel, pulse: Pulse, sessions: int, *, inline: bool = False
    ) -> Postprocess:
        """From raw outputs to answers, for so many sessions."""
        setup = self.decode_setup(model)
        return new_postprocess(setup, pulse, sessions, inline=inline, batches=self.batches, every_value=self.accuracy)

    def new_queue(
        self,
        slots: tuple[DeviceSlot, ...],
        open_slot: Callable[[DeviceSlot], Session],
        tensors: Mapping[int, Tensor],
        postprocess: Postprocess,
        respond: Respond,
        on_failure: Callable[[BaseException], None],
        pulse: Pulse,
        on_retired: Callable[[Retired], None],
    ) -> SessionQueue:
        """A queue before the sessions of these slots; see `SessionQueue`."""
        return SessionQueue(
            slots,
            open_slot,
            tensors,
            postprocess,
            respond,
            on_failure,
            pulse,
            batches=self.batches,
            in_flight=self.in_flight,
            retire=self.goes_on,
            hang_s=self.watchdog_s,
            open_s=self.startup_s,
            on_retired=on_retired,
        )
