"""The switches of faults.c: a file of two struct part, sweepd's and its workers', mapped by the test and the programs."""
import mmap
import os
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", os.environ.get("SWEEPD_BUILD", ROOT / "build-tests-plain")))
LIBRARY = BUILD.resolve() / "tests/chaos/libfaults.so"
NO_SPACE, IO_ERROR, NETWORK_DISK, NO_FILES, NO_PROCESSES = 1, 2, 4, 8, 16
SWEEPD, WORKERS = 0, 1
CALLS, KILL_AT, KILL_AFTER, BROKEN, FIELDS = range(5)


class Faults:
    def __init__(self, directory):
        self.path = directory / "faults"
        self.path.write_bytes(bytes(2 * FIELDS * 8))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.env = {"LD_PRELOAD": str(LIBRARY), "FAULTS": str(self.path)}

    def _get(self, part, field):
        return struct.unpack_from("q", self.map, (part * FIELDS + field) * 8)[0]

    def _set(self, part, field, value):
        struct.pack_into("q", self.map, (part * FIELDS + field) * 8, value)

    def calls(self, part=SWEEPD):
        return self._get(part, CALLS)

    def kill_in(self, calls, after=False, part=SWEEPD):
        """At the so-manyth counted call from now, before or after it is done."""
        self._set(part, KILL_AFTER, int(after))
        self._set(part, KILL_AT, self.calls(part) + calls)

    def break_it(self, how, parts=(SWEEPD, WORKERS)):
        for part in parts:
            self._set(part, BROKEN, how)

    def mend(self):
        """Nothing more happens.  True: sweepd has come to the call that kills it."""
        aim = self._get(SWEEPD, KILL_AT)
        for part in (SWEEPD, WORKERS):
            self._set(part, BROKEN, 0)
            self._set(part, KILL_AT, 0)
        return aim != 0 and self.calls() >= aim
