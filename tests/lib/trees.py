# SPDX-License-Identifier: MIT
"""All there is to compare of a tree of files: what a copy must have kept."""

import hashlib
import os
import pathlib
import stat

CONTENTS_MAX = 1 << 20


def contents(path):
    """The bytes themselves where a failed comparison can still show them."""
    with open(path, "rb") as file:
        head = file.read(CONTENTS_MAX)
        rest = hashlib.sha256()
        while block := file.read(CONTENTS_MAX):
            rest.update(block)
        return head, rest.hexdigest()


def data_ranges(path):
    """[(offset, end)] of what lseek(2) calls data."""
    runs, end = [], 0
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)  # what is not written yet may be data in one place, and no block
        size = os.fstat(fd).st_size
        while end < size:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole up to the end
            end = os.lseek(fd, start, os.SEEK_HOLE)
            runs.append((start, end))
    finally:
        os.close(fd)
    return runs


def attributes(path):
    """Every extended attribute, which ACLs and file capabilities are too."""
    return {name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)}


def _entry(path, st, times, holes):
    entry = [oct(st.st_mode), st.st_nlink, st.st_uid, st.st_gid]
    if times:
        entry.append(st.st_mtime_ns)
    if stat.S_ISREG(st.st_mode):
        entry += [st.st_size, contents(path)]
        entry += [data_ranges(path), path.lstat().st_blocks] if holes else []
    if stat.S_ISLNK(st.st_mode):
        entry.append(os.readlink(path))
    if stat.S_ISBLK(st.st_mode) or stat.S_ISCHR(st.st_mode):
        entry.append(st.st_rdev)
    return entry + [attributes(path)]


def tree(directory, times=False, holes=False):
    """{name: what is to compare}; hard links say which name they share an inode with."""
    seen, names = {}, {}
    found = [pathlib.Path(where) / name for where, dirs, files in os.walk(directory)
             for name in dirs + files]
    for path in sorted(found):
        st = path.lstat()
        name = str(path.relative_to(directory))
        first = names.setdefault((st.st_dev, st.st_ino), name)
        seen[name] = [first, *_entry(path, st, times, holes)]
    return seen
