"""Mail login codes, after whoever asked has been answered.

An answer that waited for the mail would tell by its time, and by what it says when the mail server is away, to which addresses
codes are mailed: where sign-up is closed, that is who is a user. So nothing of what becomes of a mail shows in an answer.
"""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from owlrunner.accounts import Accounts, IssuedCode, Origin
from owlrunner.errors import DatabaseTrouble
from owlrunner.mail import MAX_THREADS, MAX_WAITING, Mailer, MailUnavailable

MOST_UNDER_WAY = MAX_THREADS + MAX_WAITING
"""Codes that are being mailed. As many as the mailer takes; those that wait for its server's name to be resolved count as well."""
LONGEST_PAUSE = 1.0
"""Seconds from an answer to the work for its mail, at the most: by chance, so that the time of no answer has to do with it."""
LAST_SECONDS = 5.0
"""How long mails that are under way get when the server stops."""

logger = logging.getLogger(__name__)


@attrs.frozen
class LoginMails:
    """Mails codes by tasks in a nursery of their own."""

    accounts: Accounts
    mailer: Mailer
    nursery: trio.Nursery
    longest_pause: float = LONGEST_PAUSE

    async def issue(self, email: str | None, origin: Origin) -> IssuedCode:
        """Issue a code, and have it mailed. Raises InvalidRequest and TooManyRequests, whoever is known by the address."""
        issued = await self.accounts.issue_code(email, origin)
        if len(self.nursery.child_tasks) < MOST_UNDER_WAY:
            self.nursery.start_soon(self._mail, issued)
        else:
            # Also a code that would not be mailed; nobody is told, because only mails keep places for long.
            await self._withdraw(issued, f"{MOST_UNDER_WAY} other mails are on their way already")
        return issued

    async def _mail(self, issued: IssuedCode) -> None:
        """Mail a code, unless it is for an address that may not sign up."""
        # To make a mail takes as long as half an answer.
        await trio.sleep(secrets.SystemRandom().uniform(0, self.longest_pause))
        if not issued.goes_out:
            return
        try:
            await self.mailer.send(
                issued.email,
                f"{issued.code} is your OwlRunner code",
                f"Your OwlRunner code is {issued.code}. It is valid for 10 minutes.\n\n"
                "If you did not ask for it, you can ignore this mail.\n",
            )
        except MailUnavailable as problem:
            await self._withdraw(issued, str(problem))
        except Exception:
            # It would end the server, which is the nursery's owner.
            logger.exception("mailing a login code to %s crashed", issued.email)
            await self._withdraw(issued, "the mail crashed")

    async def _withdraw(self, issued: IssuedCode, problem: str) -> None:
        """End a code that nobody gets."""
        logger.warning("no login code was mailed to %s: %s", issued.email, problem)
        try:
            await self.accounts.withdraw_code(issued)
        except DatabaseTrouble as trouble:
            logger.warning(
                "the login code for %s, which was not mailed, could not be withdrawn: %s", issued.email, trouble
            )


@asynccontextmanager
async def login_mails(
    accounts: Accounts, mailer: Mailer, longest_pause: float = LONGEST_PAUSE
) -> AsyncIterator[LoginMails]:
    """Mail codes as long as the block lasts. What is under way at its end gets a moment, and is ended then."""
    async with trio.open_nursery() as nursery:
        yield LoginMails(accounts, mailer, nursery, longest_pause)
        nursery.cancel_scope.deadline = trio.current_time() + LAST_SECONDS
