"""A disk of any size in memory, which can be filled to its last page, emptied and enlarged while it is in use."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BALLAST = ".ballast"


@dataclass(frozen=True)
class Disk:
    """A mounted tmpfs."""

    folder: Path

    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def used(self) -> int:
        """Bytes in use."""
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def resize(self, kib: int) -> None:
        """Give it another size while it is in use."""
        _mount("-o", f"remount,size={kib}k", str(self.folder))

    def fill(self, leave: int = 0) -> None:
        """Take every free page but so many bytes; what other writers leave meanwhile is asked for again."""
        with (self.folder / BALLAST).open("ab") as ballast:
            while (free := self.free() - leave) > 0:
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, free)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give back what ``fill`` took."""
        (self.folder / BALLAST).unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path, kib: int) -> Iterator[Disk]:
    """Mount a disk of so many KiB over a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refusal(folder: Path) -> str:
    """Why no such disk can be mounted here; empty where it can."""
    try:
        with mounted(folder, 64):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        return f"no tmpfs can be mounted here: {str(said).strip()}"


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
