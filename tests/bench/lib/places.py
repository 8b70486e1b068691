# SPDX-License-Identifier: MIT
"""Where a workload runs: the source directory itself, and filesystems that show it."""

import os
import pathlib
import resource
import shutil
import subprocess
import time

import mmapfs

DESCRIPTORS = 1 << 20

# mmapfs told to keep names and attributes as long as the peers do that keep them longest.
DAY = "mmapfs-day"


class Missing(Exception):
    """What cannot be measured here, and why; it becomes a row of the results."""


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).strip().splitlines()
    return words[0] if words else ""


def package_version(name):
    return first_line("dpkg-query", "-W", "-f", "${Version}\n", name)


def raise_descriptors():
    """passthrough_hp and its like keep one for each inode they know."""
    for limit in (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (OSError, ValueError):
            continue


class Place:
    """One filesystem over @source; started once for all workloads of a group."""

    def __init__(self, name, source, version=""):
        self.name = name
        self.source = pathlib.Path(source)
        self.point = self.source
        self.version = version
        self.process = None
        self.hungry = False  # keeps a descriptor for each inode, and there are not enough

    @property
    def tree(self):
        return self.point / ("tree-small" if self.hungry else "tree")

    def files(self, all_files):
        """How many there are in its tree; figures are for one file."""
        return all_files // 2 if self.hungry else all_files

    def start(self):
        return self

    def stop(self):
        pass

    def __truediv__(self, name):
        return self.point / name


class Mounted(Place):
    """A daemon in the foreground; @command has its arguments, without the mountpoint."""

    def __init__(self, name, source, point, command, version=""):
        super().__init__(name, source, version)
        self.point = pathlib.Path(point)
        self.command = [*map(str, command)]

    def start(self):
        program = shutil.which(self.command[0])
        if not program:
            raise Missing(f"{self.command[0]} is not installed")
        self.point.mkdir(parents=True, exist_ok=True)
        with open(f"{self.point}.log", "wb") as log:
            self.process = subprocess.Popen(
                [program, *self.command[1:]], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, preexec_fn=raise_descriptors, start_new_session=True)
        end = time.monotonic() + 20
        while not (mmapfs.mount_type(self.point) or "").startswith("fuse"):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Missing(f"no mount: {self._last_words()}")
            time.sleep(0.01)
        return self

    def _last_words(self):
        lines = pathlib.Path(f"{self.point}.log").read_text(errors="replace").split("\n")
        return " ".join(lines[-3:]).strip() or "it said nothing"

    def stop(self):
        for lazily in ([], ["-l"]):
            if mmapfs.mount_type(self.point):
                subprocess.run(["umount", *lazily, str(self.point)], check=False,
                               capture_output=True, timeout=60)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def status_kib(self, field):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line, = [line for line in text.splitlines() if line.startswith(field + ":")]
        return int(line.split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        words = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")")[1]
        user, kernel = words.split()[11:13]
        return (int(user) + int(kernel)) / os.sysconf("SC_CLK_TCK")


def passthrough_hp(libfuse):
    """Its program in the checkout or build directory @libfuse."""
    for below in ("example/passthrough_hp", "build/example/passthrough_hp"):
        program = pathlib.Path(libfuse or "/nowhere") / below
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return "passthrough_hp"


def hp_version(libfuse):
    header = pathlib.Path(libfuse or "/nowhere") / "fuse_config.h"
    for line in header.read_text().splitlines() if header.is_file() else ():
        if line.startswith("#define PACKAGE_VERSION"):
            return "libfuse " + line.split('"')[1]
    return ""


def commands(source, points, work, libfuse):
    """{name: (command, version)} of every filesystem, each as it is started by default."""
    def at(name):
        return points / name

    return {
        "mmapfs": ([mmapfs.DAEMON, source, at("mmapfs"), "-f", "-o", "allow_other"],
                   first_line(mmapfs.DAEMON, "--version")),
        DAY: ([mmapfs.DAEMON, source, at(DAY), "-f", "-o",
               "allow_other,attr_timeout=86400,entry_timeout=86400,negative_timeout=86400"],
              ""),
        "passthrough_hp": ([passthrough_hp(libfuse), "--foreground", source,
                            at("passthrough_hp")],
                           hp_version(libfuse)),
        "bindfs": (["bindfs", "-f", source, at("bindfs")], package_version("bindfs")),
        "mergerfs": (["mergerfs", "-f", "-o", "allow_other", source, at("mergerfs")],
                     package_version("mergerfs")),
        "fuse-overlayfs": (["fuse-overlayfs", "-f", "-o",
                            f"lowerdir={work}/lower,upperdir={source},workdir={work}/ovl",
                            at("fuse-overlayfs")], package_version("fuse-overlayfs")),
        "unionfs-fuse": (["unionfs", "-f", "-o", "cow,allow_other", f"{source}=RW",
                          at("unionfs-fuse")], package_version("unionfs-fuse")),
    }


NAMES = ("native", "mmapfs", DAY, "passthrough_hp", "bindfs", "mergerfs", "fuse-overlayfs",
         "unionfs-fuse")


def mmapfs_on(work):
    """A function that mounts mmapfs alone on some directory, with more options."""
    def mount(source, options):
        words = ",".join(word for word in ("allow_other", options) if word)
        point = work / "points" / "alone"
        return Mounted("mmapfs", source, point,
                       [mmapfs.DAEMON, source, point, "-f", "-o", words]).start()
    return mount


def all_places(work, source, libfuse, files, only=None):
    """native first, then every filesystem that can be had; and [(name, why not)]."""
    for name in ("lower", "ovl"):
        (work / name).mkdir(exist_ok=True)
    places, missing = [Place("native", source)], []
    for name, (command, version) in commands(source, work / "points", work,
                                             libfuse).items():
        if only and name not in only:
            continue
        try:
            places.append(Mounted(name, source, work / "points" / name, command,
                                  version).start())
        except Missing as error:
            missing.append((name, str(error)))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for place in places:
        place.hungry = place.name == "passthrough_hp" and limit < 3 * files
    return places, missing
