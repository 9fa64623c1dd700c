"""Let one other account pass through a folder, and nobody else: by an access control list (acl(5)), which is an extended attribute.

The format is the kernel's (linux/posix_acl_xattr.h): a version, then entries of a tag, permissions and an id, in the order of tags
and ids.
"""

import errno
import logging
import os
import struct
from pathlib import Path

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NAMED_GROUP = 0x08
_LIMITED = (_USER, _GROUP, _NAMED_GROUP)
"""What the mask limits."""
_NOBODY = 0xFFFFFFFF
_PASS = 1

_Acl = dict[tuple[int, int], int]
"""Permissions by tag and id."""

logger = logging.getLogger(__name__)


def let_pass(folder: Path, uid: int) -> None:
    """Let the account with this id reach what lies in a folder, whose list it cannot read; where it can already, do nothing.

    Where the file system has no access control lists, everybody may pass from now on, which is logged.

    Raises OSError.
    """
    status = folder.stat()
    if status.st_mode & _PASS or (status.st_uid == uid and status.st_mode & 0o100):
        return
    try:
        acl = _read(folder, status.st_mode)
        # chmod sets the mask, and so takes away what the list allows.
        if acl.get((_USER, uid), 0) & acl.get((_MASK, _NOBODY), 0) & _PASS:
            return
        logger.info("letting PostgreSQL's account pass through %s", folder)
        _write(folder, _with_passage(acl, uid))
    except (OSError, AttributeError) as error:
        # Not Linux, or a file system without.
        if isinstance(error, OSError) and error.errno not in {errno.ENOTSUP, errno.ENOSYS}:
            raise
        logger.warning("letting everybody pass through %s, which PostgreSQL's account needs", folder)
        folder.chmod(status.st_mode | _PASS)


def _with_passage(acl: _Acl, uid: int) -> _Acl:
    """The list with one more passage. What the mask has taken from others stays taken, though it lets pass from now on."""
    mask = acl.get((_MASK, _NOBODY), acl[_GROUP, _NOBODY])
    limited = {key: allowed & mask if key[0] in _LIMITED else allowed for key, allowed in acl.items()}
    own = {(_USER, uid): limited.get((_USER, uid), 0) | _PASS}
    return limited | own | {(_MASK, _NOBODY): mask | _PASS}


def _read(folder: Path, mode: int) -> _Acl:
    try:
        stored = os.getxattr(folder, _ATTRIBUTE)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return {
            (_OWNER, _NOBODY): mode >> 6 & 7,
            (_GROUP, _NOBODY): mode >> 3 & 7,
            (_OTHER, _NOBODY): mode & 7,
        }
    return {(tag, identity): allowed for tag, allowed, identity in _ENTRY.iter_unpack(stored[len(_VERSION) :])}


def _write(folder: Path, acl: _Acl) -> None:
    entries = (_ENTRY.pack(tag, allowed, identity) for (tag, identity), allowed in sorted(acl.items()))
    os.setxattr(folder, _ATTRIBUTE, _VERSION + b"".join(entries))
