"""Full disks, limits that are reached, folders that cannot be written: one line says so, and a resume goes on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess

import pytest

from tests.faults.command import Harness, is_clear_error

SIZES = (0, 512, 4096, 16_384, 65_536, 262_144)


def with_limit(limit: int, value: int) -> object:
    def apply() -> None:
        resource.setrlimit(limit, (value, value))

    return apply


def has_user_namespaces() -> bool:
    """Whether a process may mount file systems of its own, which nobody else sees."""
    if shutil.which("unshare") is None:
        return False
    line = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(line, capture_output=True, check=False).returncode == 0


own_mounts = pytest.mark.skipif(not has_user_namespaces(), reason="no mounts of one's own in a user namespace here")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["performance", "both"])
def test_a_limit_on_the_size_of_files(harness: Harness, size: int, mode: str) -> None:
    limit = with_limit(resource.RLIMIT_FSIZE, size)
    with (harness.folder / "out").open("wb") as out, (harness.folder / "err").open("wb") as err:
        pipe = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=err)
        process = harness.start(
            harness.argv("run", "c.yaml", "--output", "r", "--mode", mode),
            stdout=out,
            stderr=pipe.stdin,
            preexec_fn=limit,
        )
        assert pipe.stdin is not None
        pipe.stdin.close()
        done = harness.wait(process)
        pipe.wait(30)
    done = type(done)(done.status, done.out, harness.written("err"))
    if done.status == 0:
        return
    is_clear_error(done, 3, 4)
    if harness.manifest():
        again = harness.run("run", "c.yaml", "--output", "r", "--mode", mode, "--resume")
        assert again.status == 0, again.err


@own_mounts
@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("single_stream/performance", marks=pytest.mark.quick_fault),
        "offline/performance",
        "offline/accuracy",
    ],
)
def test_a_disk_that_is_full_from_a_moment_on(harness: Harness, phase: str) -> None:
    """A small file system of the test's own, filled when the phase's folder appears, and freed again."""
    script = harness.folder / "full.sh"
    script.write_text(
        f"""set -u
mount -t tmpfs -o size=300m none disk
{" ".join(harness.argv("run", "c.yaml", "--output", "disk/r"))} & run=$!
while [ ! -e disk/r/{phase} ] && kill -0 $run 2>/dev/null; do sleep 0.05; done
dd if=/dev/zero of=disk/filler bs=1M 2>/dev/null; dd if=/dev/zero of=disk/filler2 bs=1 count=4096 2>/dev/null
wait $run; echo $? > status
cp disk/r/manifest.json manifest-full.json
rm disk/filler disk/filler2
{" ".join(harness.argv("run", "c.yaml", "--output", "disk/r", "--resume"))} > resumed 2>&1; echo $? > resumed-status
"""
    )
    (harness.folder / "disk").mkdir()
    harness.wait(harness.start(["unshare", "-Urm", "bash", str(script)]))
    assert harness.written("status").strip() in ("3", "4")
    assert "No space left" in harness.written("err")
    assert '"running"' not in harness.written("manifest-full.json")
    reason = str(json.loads(harness.written("manifest-full.json"))["reason"])
    assert "disk/r" in reason
    assert "No space left" in reason
    assert "next: free some space" in harness.written("err")
    assert harness.written("resumed-status").strip() == "0", harness.written("resumed")


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("x" * 256, marks=pytest.mark.quick_fault),
        "/proc/nothing/r",
        "c.yaml",
        "c.yaml/r",
        "/dev/null",
        "a\nb\x1b[2J" + "c" * 255,
    ],
)
def test_a_folder_that_cannot_be(harness: Harness, output: str) -> None:
    is_clear_error(harness.run("run", "c.yaml", "--output", output), 2, 3)


@pytest.mark.quick_fault
def test_a_working_directory_that_is_gone(harness: Harness) -> None:
    line = "mkdir gone && cd gone && rmdir ../gone && $H results"
    is_clear_error(harness.shell(line), 3)
    assert "the working directory is gone" in harness.written("err")


@pytest.mark.parametrize("open_files", [16, 24, 32])
def test_few_open_files(harness: Harness, open_files: int) -> None:
    limit = with_limit(resource.RLIMIT_NOFILE, open_files)
    done = harness.run("run", "c.yaml", "--output", "r", preexec_fn=limit)
    assert done.status == 0 or is_clear_error(done, 3, 4)


@pytest.mark.parametrize("megabytes", [200, 400, 700])
def test_little_memory(harness: Harness, megabytes: int) -> None:
    limit = with_limit(resource.RLIMIT_AS, megabytes << 20)
    done = harness.run("run", "c.yaml", "--output", "r", preexec_fn=limit)
    assert done.status not in (0, 1) or harness.manifest()["status"] == "complete"


@own_mounts
@pytest.mark.parametrize("options", ["ro", "size=4k", "size=64k"])
def test_shared_memory_that_is_missing_or_small(harness: Harness, options: str) -> None:
    harness.environment["H"] = " ".join(harness.argv())
    line = f"mount -t tmpfs -o {options} none /dev/shm && $H run c.yaml --output r"
    done = harness.wait(harness.start(["unshare", "-Urm", "bash", "-c", line]))
    assert done.status == 0 or is_clear_error(done, 3, 4)


@own_mounts
def test_no_shared_memory_at_all(harness: Harness) -> None:
    harness.environment["H"] = " ".join(harness.argv())
    line = (
        "mkdir dev && for d in null zero full random urandom; do touch dev/$d; mount --bind /dev/$d dev/$d; done"
        " && mount --rbind dev /dev && $H run c.yaml --output r"
    )
    done = harness.wait(harness.start(["unshare", "-Urm", "bash", "-c", line]))
    assert done.status == 0 or is_clear_error(done, 3)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_cache_that_nobody_may_write(harness: Harness) -> None:
    for path in (harness.cache, *harness.cache.rglob("*")):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    assert harness.run("run", "c.yaml", "--output", "r").status == 0


@own_mounts
@pytest.mark.quick_fault
def test_a_complete_cache_on_a_read_only_file_system_is_usable(harness: Harness) -> None:
    harness.environment["H"] = " ".join(harness.argv())
    line = f"mount --bind {harness.cache} {harness.cache} && mount -o remount,bind,ro {harness.cache}"
    line = f"{line} && $H run c.yaml --output r"
    done = harness.wait(harness.start(["unshare", "-Urm", "bash", "-c", line]))
    assert done.status == 0, done.err
