"""Messages of a stream in order and without gaps, through an ephemeral consumer that is made anew whenever it must be.

Nothing is acknowledged: whoever reads keeps the position. A consumer lives on the server's memory; when the server restarts,
forgets it or skips something, the next one starts behind the last message that was read.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Final

from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from servicekit.errors import Unavailable
from servicekit.nats import Bus
from servicekit.pull import Delivered, Pull
from servicekit.rpc import headers

logger = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 2.0
FORGOTTEN_AFTER_S: Final = 30


async def last_sequence(bus: Bus, stream: str) -> int:
    """The sequence of the newest message."""
    try:
        return (await bus.js.stream_info(stream)).state.last_seq
    except (Error, TimeoutError) as error:
        raise Unavailable("The stream does not answer.", reason="NO_STREAM", stream=stream) from error


async def next_sequence(bus: Bus, stream: str, subject: str, after: int) -> int | None:
    """The sequence of the first message of `subject` behind `after`; None when there is none yet."""
    body = json.dumps({"seq": after + 1, "next_by_subj": subject}).encode()
    head, _ = await bus.replies.ask(f"$JS.API.DIRECT.GET.{stream}".encode(), headers.write_plain(), body, 5)
    found = headers.read(head).get(b"Nats-Sequence")
    if found is None and not head.startswith(b"NATS/1.0 404"):
        raise Unavailable("The stream does not answer.", reason="NO_STREAM", stream=stream)
    return None if found is None else int(found)


class Ordered:
    """Reads `subjects` from sequence `start` on; with `latest` first the newest message of each subject, then what follows."""

    def __init__(
        self, bus: Bus, stream: str, subjects: Sequence[str], *, start: int = 1, batch: int = 256, latest: bool = False
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subjects = list(subjects)
        self._next = start
        self._batch = batch
        self._latest = latest
        self._pull: Pull | None = None
        self._consumed = 0

    async def take(self, *, linger_s: float = 0, gather_s: float = 0) -> list[Delivered]:
        """Wait for the next messages, at least one, over any failure of the bus; `gather_s` as `Pull.gather`."""
        wait = FIRST_WAIT_S
        while True:
            try:
                pull = self._pull or await self._make()
                return self._in_order(await (pull.gather(gather_s) if gather_s else pull.take(linger_s=linger_s)))
            except (Error, Unavailable, TimeoutError) as error:
                logger.info("reading %s starts again: %s", self._stream, type(error).__name__)
                await self.close()
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT_S, wait * 2)

    async def close(self) -> None:
        """Want no more; the server forgets the consumer by itself."""
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    def _in_order(self, taken: list[Delivered]) -> list[Delivered]:
        first = taken[0].consumer_sequence
        if first != self._consumed + 1 or taken[-1].consumer_sequence != first + len(taken) - 1:
            raise Unavailable("A message was skipped.", reason="GAP")
        self._consumed += len(taken)
        self._next = taken[-1].sequence + 1
        self._latest = False
        return taken

    async def _make(self) -> Pull:
        name = self._bus.nc.new_inbox().rpartition(".")[2]
        await self._bus.js.add_consumer(self._stream, self._config(name))
        pull = Pull(self._bus, self._stream, name, batch=self._batch)
        await pull.open()
        self._pull, self._consumed = pull, 0
        return pull

    def _config(self, name: str) -> ConsumerConfig:
        return ConsumerConfig(
            name=name,
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT if self._latest else DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=None if self._latest else self._next,
            filter_subjects=self._subjects,
            inactive_threshold=FORGOTTEN_AFTER_S,
            mem_storage=True,
            num_replicas=1,
        )
