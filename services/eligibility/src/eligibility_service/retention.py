"""Forgetting what no longer counts: contacts older than anything that a bundle remembers, and reservations long over."""

from __future__ import annotations

import asyncio
import logging

from catalog.model import Bundle
from eligibility_service.domain.contact import memory_ms
from eligibility_service.ports import Contacts
from servicekit.bundles import Bundles
from servicekit.clock import Clock
from servicekit.errors import Unavailable

logger = logging.getLogger(__name__)

EVERY_S = 3600
SLACK_MS = 30 * 86_400_000
"""Late corrections still find what they replace, and the next bundle may remember a little longer."""


async def keep(contacts: Contacts, catalog: Bundles[Bundle], clock: Clock) -> None:
    """Tidy every hour, for as long as the service lives."""
    while True:
        try:
            await contacts.forget_before(clock.now_us() // 1000 - memory_ms(catalog.active().bundle) - SLACK_MS)
        except Unavailable as error:
            logger.info("retention waits", extra={"reason": error.code})
        await asyncio.sleep(EVERY_S)
