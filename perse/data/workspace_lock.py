"""Lock of a workspace, one driver at a time: who holds it, since when, and until when if nothing more is heard.

A claim is a file of its own, ``locks/<token>.json``, written and listed like everything else in a workspace, so that it
works on an object store as well: no rename, no append, no compare-and-swap. Whoever wants the workspace

1. writes a claim that waits, and lists: another one that is held, or an older one that waits, means no;
2. writes that it holds, and lists again: an older one of whatever kind means no, and the claim is withdrawn.

Two can never hold it: had the younger one not seen the older one in its second list, the older one would have been
written after that, and would have seen in its first list that the younger one holds. Two at the same moment may both
withdraw. That needs listing after writing to be consistent, as it is on disks, S3 and GCS.

A claim is good for `LEASE_S` and is renewed while its process lives. On the machine of a process that has died it is
known at once that nobody holds it.
"""

from __future__ import annotations

import _thread
import getpass
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from perse.data.workspace import MARKER, Workspace
from perse.errors import WorkspaceError

log = logging.getLogger(__name__)

FOLDER = "locks"
LEASE_S = 90.0
"""Longer than clocks of a cluster differ and an object store is out of reach."""
RENEW_S = 20.0
LOOK_AGAIN_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Claim of a process to a workspace.

    Attributes:
        token: names the claim.
        owner, host, pid, started: whose it is; `started` tells processes of one number apart.
        since, until: seconds since the epoch; it is void afterwards.
        held: whether it is more than a wish.
    """

    token: str
    owner: str
    host: str
    pid: int
    started: str
    since: float
    until: float
    held: bool = False

    @property
    def age(self) -> tuple[float, str]:
        """Older claims come first."""
        return self.since, self.token

    def is_alive(self, now: float) -> bool:
        """Whether it still counts."""
        if now > self.until:
            return False
        return self.host != socket.gethostname() or _start_of(self.pid) in (self.started, "")

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%H:%M:%S UTC")
        return f"{self.owner} on {self.host} (process {self.pid}), since {since}"


def new_claim(now: float) -> Claim:
    """This process's."""
    pid = os.getpid()
    return Claim(
        token=secrets.token_hex(8), owner=_user(), host=socket.gethostname(), pid=pid, started=_start_of(pid),
        since=now, until=now + LEASE_S,
    )  # fmt: skip


class HeldError(WorkspaceError):
    """Error: another process holds the workspace.

    Attributes:
        claim: who; left_s: seconds after which it is free if that process is gone.
    """

    def __init__(self, location: str, claim: Claim, left_s: int) -> None:
        super().__init__(
            f"{location} is held by {claim}; wait for it with --wait. If that process is gone, the workspace is free "
            f"in {left_s} s"
        )
        self.claim, self.left_s = claim, left_s


@contextmanager
def locked(
    workspace: Workspace,
    *,
    wait: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Claim]:
    """The workspace, for this process alone.

    Args:
        wait: until it is free, instead of refusing.

    Raises:
        HeldError: another process holds it.
    """
    told = False
    while isinstance(got := claim(workspace, new_claim(clock()), clock), Other):
        if not wait:
            raise HeldError(workspace.location, got.claim, max(1, round(got.claim.until - clock())))
        if not told:
            log.warning("%s is held by %s; waiting", workspace.location, got.claim)
            told = True
        sleep(LOOK_AGAIN_S)
    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(workspace, got, stop), daemon=True)
    renewing.start()
    try:
        yield got
    finally:
        stop.set()
        renewing.join()
        with suppress(WorkspaceError):
            workspace.remove(_name(got))


@dataclass(frozen=True)
class Other:
    """Claim of somebody else that is in the way."""

    claim: Claim


def claim(workspace: Workspace, mine: Claim, clock: Callable[[], float] = time.time) -> Claim | Other:
    """Both steps of the module's docstring, once."""
    _write(workspace, mine)
    in_the_way = [one for one in _others(workspace, mine, clock()) if one.held or one.age < mine.age]
    if not in_the_way:
        mine = replace(mine, held=True)
        _write(workspace, mine)
        in_the_way = [one for one in _others(workspace, mine, clock()) if one.age < mine.age]
    if in_the_way:
        workspace.remove(_name(mine))
        return Other(min(in_the_way, key=lambda one: (not one.held, one.age)))
    return mine


def holder(workspace: Workspace) -> Claim | None:
    """Claim that holds a workspace now."""
    return next((one for one in _claims(workspace) if one.held and one.is_alive(time.time())), None)


def _others(workspace: Workspace, mine: Claim, now: float) -> list[Claim]:
    """The claims that count; those that do not are removed."""
    found = [one for one in _claims(workspace) if one.token != mine.token]
    for one in found:
        if not one.is_alive(now):
            with suppress(WorkspaceError):
                workspace.remove(_name(one))
    return [one for one in found if one.is_alive(now)]


def _claims(workspace: Workspace) -> Iterator[Claim]:
    for name in workspace.names(FOLDER):
        try:
            yield Claim(**json.loads(workspace.read(f"{FOLDER}/{name}")))
        except (WorkspaceError, ValueError, TypeError):  # withdrawn since it was listed, or not ours
            continue


def _renew(workspace: Workspace, mine: Claim, stop: threading.Event) -> None:
    """Say now and then that this process lives. A claim that somebody took away is not written again."""
    until, marked = mine.until, workspace.has(MARKER)
    while not stop.wait(RENEW_S):
        try:
            if marked and not workspace.has(MARKER):
                return  # the workspace as a whole is gone: only who holds it removes it, and goes on with other things
            if not workspace.has(_name(mine)):
                raise WorkspaceError("it was taken away")
            until = time.time() + LEASE_S
            _write(workspace, replace(mine, until=until))
        except WorkspaceError as error:
            if time.time() > until or "taken away" in str(error):
                log.error(
                    "the lock of %s is lost (%s): this run ends, others may write there", workspace.location, error
                )
                _thread.interrupt_main()
                return


def _write(workspace: Workspace, mine: Claim) -> None:
    workspace.write(_name(mine), json.dumps(asdict(mine), sort_keys=True).encode())


def _name(one: Claim) -> str:
    return f"{FOLDER}/{one.token}.json"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number that no table knows
        return str(os.getuid())


def _start_of(pid: int) -> str:
    """When a process of this machine began, in ticks of its clock; "gone" if there is none, "" if nobody can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return "gone" if Path("/proc/self/stat").exists() else _signalled(pid)
    except (OSError, IndexError):
        return ""


def _signalled(pid: int) -> str:
    """Where there is no /proc: whether the process is there at all."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return ""
