"""This is the room for mailing a login code to whoever asks for one."""

from owlrunner.accounts import Accounts, IssuedCode, Origin
from owlrunner.mail import Mailer, MailUnavailable


async def mail_code(accounts: Accounts, mailer: Mailer, email: str | None, origin: Origin) -> IssuedCode:
    """Issue a code and mail it; one that cannot be mailed does not count for whoever asked.

    Raises InvalidRequest, TooManyRequests and MailUnavailable.
    """
    issued = await accounts.issue_code(email, origin)
    if not issued.goes_out:
        return issued
    try:
        await mailer.send(
            issued.email,
            f"{issued.code} is your OwlRunner code",
            f"Your OwlRunner code is {issued.code}. It is valid for 10 minutes.\n\n"
            "If you did not ask for it, you can ignore this mail.\n",
        )
    except MailUnavailable:
        await accounts.withdraw_code(issued)
        raise
    return issued
