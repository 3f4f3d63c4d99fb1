# SPDX-License-Identifier: Apache-2.0
"""Maps of the kernel lane that a test can look into and write to: pins on a BPF file system of its own.

The fields are found by the type information of the pinned map, so a change of the record needs none here.
"""
import contextlib
import ctypes
import os

from bpf_objects import bpftool
from hg import *
from hg.framework import binary

TAKEN = "user.generation"  # odd while the slot is taken


class Pins:
    """.directory for config.splice.pinDir; slots, and fields named as in bpf/abi.h: "kernel.next_seq"."""

    def __init__(self, directory, slots):
        self.directory, self.slot_count = directory, slots
        self.gates = os.path.join(directory, "gates")
        btf = bpftool("btf", "dump", "id", bpftool("map", "show", "pinned", self.gates)["btf_id"])
        self._types = {t["id"]: t for t in btf["types"]}

    def _place(self, type_id, names):
        """(offset, size) in bytes of the member of a struct."""
        members = self._types[type_id]["members"]
        member = next(m for m in members if m["name"] == names[0])
        offset = member["bits_offset"] // 8
        if names[1:]:
            inner, size = self._place(member["type_id"], names[1:])
            return offset + inner, size
        found = self._types[member["type_id"]]
        while "size" not in found:
            found = self._types[found["type_id"]]
        return offset, found["size"]

    def _record(self, slot):
        key = [str(byte) for byte in slot.to_bytes(4, "little")]
        entry = bpftool("map", "lookup", "pinned", self.gates, "key", *key)
        return key, bytearray(int(byte, 16) for byte in entry["value"])

    def place(self, field):
        record = next(t["id"] for t in self._types.values() if t.get("name") == "sockmap_record")
        return self._place(record, field.split("."))

    def _value(self, record, field):
        offset, size = self.place(field)
        return int.from_bytes(record[offset:offset + size], "little")

    def add(self, slot, field, change):
        """Whoever writes this field must be at rest: the record is read, changed and written as a whole."""
        key, record = self._record(slot)
        offset, size = self.place(field)
        value = (self._value(record, field) + change) % (1 << 8 * size)
        record[offset:offset + size] = value.to_bytes(size, "little")
        bpftool("map", "update", "pinned", self.gates, "key", *key, "value", *map(str, record))

    def sources(self):
        """{slot: stream bytes that the program has seen} of the sockets that have been a source."""
        records = {slot: self._record(slot)[1] for slot in range(self.slot_count)}
        return {slot: self._value(record, "kernel.redirected_bytes") + self._value(record,
                "kernel.passed_bytes")
                for slot, record in records.items()
                if self._value(record, TAKEN) % 2 and self._value(record, "kernel.is_seeded")}

    def cookies(self):
        """{map: cookies of the sockets in it} of the maps that hold sockets, and of those that name them."""
        def number(bytes_shown):
            return int.from_bytes(bytes(int(byte, 16) for byte in bytes_shown), "little")
        found = {}
        for name, side in (("sources", "value"), ("targets", "value"), ("gate_of", "key")):
            entries = bpftool("map", "dump", "pinned", os.path.join(self.directory, name))
            # An empty slot of a sock map is an entry with an error.
            found[name] = {number(entry[side]) for entry in entries if isinstance(entry["value"], list)}
        return found

    def source_that_moved(self, before):
        """The one slot of sources() that saw more bytes than before."""
        moved = [slot for slot, count in self.sources().items() if count != before.get(slot, 0)]
        eq(len(moved), 1, f"sources that moved: {before} -> {self.sources()}")
        return moved[0]


CLONE_NEWNS = 0x20000


def own_mounts():
    """From here on what this test mounts is seen by its own processes only, and goes with the last of
    them."""
    eq(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS), 0, "unshare(CLONE_NEWNS)")
    eq(run(["mount", "--make-rprivate", "/"])[0], 0, "mount --make-rprivate /")


@contextlib.contextmanager
def pins(slots=4, workers=1, user="root"):
    own_mounts()
    mounted = os.path.join(tmpdir(), "bpf")
    os.mkdir(mounted)
    eq(run(["mount", "-t", "bpf", "bpf", mounted])[0], 0, "mount -t bpf")
    directory = os.path.join(mounted, "headgate")
    try:
        status, out, err = run([binary("headgate"), "bpf", "load", "--pin", directory, "--slots", slots,
                                "--workers", workers, "--user", user])
        eq(status, 0, f"bpf load: {out} {err}")
        yield Pins(directory, slots)
    finally:
        run([binary("headgate"), "bpf", "unload", "--pin", directory])
        run(["umount", "-l", mounted])
        os.rmdir(mounted)
