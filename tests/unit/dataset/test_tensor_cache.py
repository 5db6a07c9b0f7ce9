"""Tensors are made once per image and preprocessing, survive a break, and are made again when damaged."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.dataset import tensor_cache
from harness.dataset.scene import draw_scene
from harness.dataset.tensor_cache import TensorCache
from harness.dataset.tensors import CachedTensors, DirectTensors, PathList, read_image
from harness.errors import DataError, DatasetError, Stalled
from harness.files import replacing
from harness.model.ssd_resnet34.preprocess import PREPROCESS_KEY, preprocess

SHAPE = (3, 1200, 1200)
as_uint8 = functools.partial(preprocess, dtype="uint8")
as_float32 = functools.partial(preprocess, dtype="float32")


def ignore(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{index}.jpg" for index in range(6)]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), draw_scene(0, index).pixels)
    return paths


def cache_in(folder: Path) -> TensorCache:
    return TensorCache(folder, as_uint8, PREPROCESS_KEY, SHAPE)


def inodes(cache: TensorCache) -> dict[str, int]:
    """Which files there are; a file made anew has another inode."""
    return {path.name: path.stat().st_ino for path in cache.folder.glob("*.npy")}


def assert_loads(
    tensors: CachedTensors | DirectTensors, sources: list[Path], how: Callable[[bytes], np.ndarray]
) -> None:
    indices = [3, 0, 5]
    loaded = tensors.load(indices)
    for index, tensor in zip(indices, loaded, strict=True):
        assert tensor.shape == (1, *SHAPE)
        assert tensor.flags.c_contiguous
        assert type(tensor) is np.ndarray
        np.testing.assert_array_equal(tensor[0], how(sources[index].read_bytes()))


def test_tensors_come_back_as_they_were_preprocessed(tmp_path: Path, sources: list[Path]) -> None:
    tensors = cache_in(tmp_path).build(sources, ignore)
    assert len(tensors) == 6
    assert_loads(tensors, sources, as_uint8)


def test_a_second_build_makes_nothing_and_progress_ends_at_all(tmp_path: Path, sources: list[Path]) -> None:
    cache = cache_in(tmp_path)
    assert cache.build(sources, ignore).made == 6
    before = inodes(cache)
    told: list[tuple[int, int]] = []
    assert cache.build(sources, lambda done, total: told.append((done, total))).made == 0
    assert inodes(cache) == before
    assert told[-1] == (6, 6)


def test_a_broken_build_goes_on_where_it_stopped(tmp_path: Path, sources: list[Path]) -> None:
    cache = cache_in(tmp_path)

    def stop_at_three(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.build(sources, stop_at_three, workers=1)
    assert len(inodes(cache)) == 3
    assert cache.build(sources, ignore).made == 3


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"x" * 5000, b"PK\x03\x04"], ids=repr)
def test_a_damaged_tensor_is_made_again(tmp_path: Path, sources: list[Path], damage: bytes) -> None:
    cache = cache_in(tmp_path)
    cache.build(sources, ignore)
    next(cache.folder.glob("*.npy")).write_bytes(damage)
    tensors = cache.build(sources, ignore)
    assert tensors.made == 1
    assert_loads(tensors, sources, as_uint8)


def test_a_tensor_that_was_cut_short_or_has_another_shape_is_made_again(tmp_path: Path, sources: list[Path]) -> None:
    cache = cache_in(tmp_path)
    cache.build(sources, ignore)
    first, second, *_ = cache.folder.glob("*.npy")
    os.truncate(first, 4_000_000)
    np.save(second, np.zeros((3, 300, 300), np.uint8))
    assert cache.build(sources, ignore).made == 2


def test_images_of_the_same_bytes_share_a_tensor_and_a_changed_one_gets_its_own(
    tmp_path: Path, sources: list[Path]
) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(sources[0].read_bytes())
    cache = cache_in(tmp_path / "cache")
    assert cache.build([sources[0], copy], ignore).made == 1
    copy.write_bytes(sources[1].read_bytes())
    tensors = cache.build([sources[0], copy], ignore)
    assert tensors.made == 1
    np.testing.assert_array_equal(tensors.load([1])[0][0], as_uint8(sources[1].read_bytes()))


def test_another_preprocessing_has_tensors_of_its_own(tmp_path: Path, sources: list[Path]) -> None:
    cache_in(tmp_path).build(sources[:1], ignore)
    other = TensorCache(tmp_path, as_uint8, "another", SHAPE)
    assert other.build(sources[:1], ignore).made == 1
    assert (other.folder / "preprocessing.txt").read_text() == "another\n"


def test_a_preprocessing_that_gives_something_else_is_a_mistake_of_the_caller(
    tmp_path: Path, sources: list[Path]
) -> None:
    with pytest.raises(TypeError, match=r"gave float32 \(3, 1200, 1200\), not uint8"):
        TensorCache(tmp_path, as_float32, "key", SHAPE).build(sources[:1], ignore)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_truncated_image_is_named_and_no_file_is_left_of_it(
    tmp_path: Path, sources: list[Path], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "POOL_PAYS_FROM", 2)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(sources[1].read_bytes()[:9000])
    cache = cache_in(tmp_path / "cache")
    with pytest.raises(DatasetError, match=r"broken\.jpg: is truncated or corrupt") as caught:
        cache.build([*sources, broken], ignore, workers)
    assert caught.value.where == str(broken)
    assert len(list(cache.folder.iterdir())) <= 1 + 6


def test_an_image_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.jpg: cannot be read: No such file"):
        cache_in(tmp_path).build([tmp_path / "gone.jpg"], ignore)


def test_worker_processes_make_the_same_tensors(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "POOL_PAYS_FROM", 2)
    told: list[int] = []
    tensors = cache_in(tmp_path).build(sources, lambda done, total: told.append(done), workers=2)
    assert told == [0] * 6 + [1, 2, 3, 4, 5, 6]
    assert_loads(tensors, sources, as_uint8)


def exit_at_once(encoded: bytes) -> np.ndarray:
    """Stands for a worker that the system killed for its memory."""
    os._exit(9)


def test_a_worker_that_dies_is_an_error_and_not_a_hang(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "POOL_PAYS_FROM", 2)
    with pytest.raises(DataError, match="a worker process died"):
        TensorCache(tmp_path, exit_at_once, "key", SHAPE).build(sources, ignore, workers=2)


def test_too_little_space_is_said_before_anything_is_made(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9 - 10**7, 10**7))
    cache = cache_in(tmp_path)
    with pytest.raises(DataError, match=r"tensors of 6 images need 0\.0259 GB, and 0\.01 GB are free"):
        cache.build(sources, ignore)
    assert inodes(cache) == {}


def test_a_disk_that_fills_up_is_an_error_and_leaves_no_partial_file(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Path, tensor: np.ndarray) -> None:
        with replacing(file):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensor_cache, "write_tensor", full)
    cache = cache_in(tmp_path)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        cache.build(sources, ignore)
    assert [path.name for path in cache.folder.iterdir()] == ["preprocessing.txt"]


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, sources: list[Path]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the tensor cache cannot be written: Not a directory"):
        cache_in(tmp_path / "file").build(sources, ignore)


def test_what_a_killed_build_left_is_removed_after_a_while(tmp_path: Path, sources: list[Path]) -> None:
    cache = cache_in(tmp_path)
    cache.build(sources[:1], ignore)
    old, new = cache.folder / ".a.npy.1.tmp", cache.folder / ".b.npy.2.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    cache.build(sources[:1], ignore)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("damage", ["gone", "zeros", "one bit", "cut", "link", "pipe"])
def test_a_tensor_damaged_after_the_build_is_made_again_from_its_image(
    tmp_path: Path, sources: list[Path], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = cache_in(tmp_path)
    tensors = cache.build(sources, ignore)
    file = cache.folder / f"{hashlib.sha256(sources[3].read_bytes()).hexdigest()}.npy"
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "zeros":  # as after a power failure
        file.write_bytes(content[:128] + bytes(len(content) - 128))
    elif damage == "one bit":
        content[2_000_000] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[:-5])
    elif damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    elif damage == "pipe":
        os.mkfifo(file)
    assert_loads(tensors, sources, as_uint8)
    assert "made again" in caplog.text
    caplog.clear()
    assert_loads(tensors, sources, as_uint8)
    assert caplog.text == ""
    assert file.is_file()
    assert not file.is_symlink()


def test_a_tensor_whose_image_has_changed_since_is_named_with_it(tmp_path: Path, sources: list[Path]) -> None:
    image = tmp_path / "image.jpg"
    image.write_bytes(sources[0].read_bytes())
    cache = cache_in(tmp_path / "cache")
    tensors = cache.build([image], ignore)
    next(cache.folder.glob("*.npy")).unlink()
    image.write_bytes(sources[1].read_bytes())
    with pytest.raises(DatasetError, match=r"image\.jpg: its cached tensor .*, and the image has changed"):
        tensors.load([0])


def test_a_complete_cache_need_not_be_writable(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_in(tmp_path)
    cache.build(sources, ignore)
    (cache.folder / "preprocessing.txt").unlink()

    def read_only(*_: object, **__: object) -> tuple[int, str]:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", read_only)
    tensors = cache.build(sources, ignore)
    assert tensors.made == 0
    assert_loads(tensors, sources, as_uint8)
    next(cache.folder.glob("*.npy")).unlink()
    assert_loads(tensors, sources, as_uint8)
    with pytest.raises(DataError, match="cannot be written: Read-only file system"):
        cache.build(sources, ignore)


def test_a_folder_in_a_tensors_place_is_named(tmp_path: Path, sources: list[Path]) -> None:
    cache = cache_in(tmp_path)
    cache.build(sources[:1], ignore)
    file = next(cache.folder.glob("*.npy"))
    whole = file.read_bytes()
    file.unlink()
    file.mkdir()
    cache.build(sources[:1], ignore)  # an empty one is in nobody's way
    assert file.read_bytes() == whole
    file.unlink()
    (file / "something").mkdir(parents=True)
    with pytest.raises(DataError, match=f"{file.name}: there is a folder where a cached tensor belongs"):
        cache.build(sources[:1], ignore)


def test_links_at_the_caches_names_are_not_followed(tmp_path: Path, sources: list[Path]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    cache = cache_in(tmp_path / "cache")
    cache.folder.mkdir(parents=True)
    (cache.folder / "preprocessing.txt").symlink_to(victim)
    (cache.folder / f"{hashlib.sha256(sources[0].read_bytes()).hexdigest()}.npy").symlink_to(victim)
    assert_loads(cache.build(sources, ignore), sources, as_uint8)
    assert victim.read_text() == "precious"


def test_a_pipe_in_an_images_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image.jpg")
    with pytest.raises(DatasetError, match=r"image\.jpg: is no regular file"):
        read_image(tmp_path / "image.jpg")


def stop_at_once(encoded: bytes) -> np.ndarray:
    """Stands for a worker that somebody stopped."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return np.zeros(SHAPE, np.uint8)


def test_a_worker_that_is_stopped_is_an_error_and_not_a_hang(
    tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_cache, "POOL_PAYS_FROM", 2)
    monkeypatch.setattr("harness.dataset.worker_pool.STALL_S", 3)
    with pytest.raises(Stalled, match=r"0\.jpg: no image was preprocessed for 3 s"):
        TensorCache(tmp_path, stop_at_once, "key", SHAPE).build(sources, ignore, workers=2)
    assert not multiprocessing.active_children()


def test_the_tensors_of_5000_images_are_sent_to_a_child_in_little() -> None:
    paths = [Path("/data/coco/val2017", f"{number:012d}.jpg") for number in range(5000)]
    tensors = CachedTensors(Path("/cache"), bytes(32 * 5000), paths, as_uint8, SHAPE, 0)
    assert len(pickle.dumps(tensors)) < 350_000  # twice as much with a path of each file
    assert list(PathList(paths)) == paths


def test_float_tensors_are_preprocessed_when_they_are_loaded(sources: list[Path]) -> None:
    tensors = DirectTensors(sources, as_float32)
    assert len(tensors) == 6
    assert_loads(tensors, sources, as_float32)


def test_the_images_contents_have_one_name_however_they_are_loaded(tmp_path: Path, sources: list[Path]) -> None:
    copies = [Path(shutil.copy(source, tmp_path)) for source in sources]
    direct = DirectTensors(copies, as_uint8)
    assert cache_in(tmp_path).build(copies, ignore).sha256 == direct.sha256
    before = direct.sha256
    assert DirectTensors(copies[::-1], as_uint8).sha256 != before
    copies[0].write_bytes(copies[1].read_bytes())
    assert direct.sha256 != before


def test_images_that_are_not_cached_are_checked_beforehand(tmp_path: Path, sources: list[Path]) -> None:
    told: list[tuple[int, int]] = []
    DirectTensors(sources, as_uint8).check(lambda done, total: told.append((done, total)))
    assert (told[0], told[-1]) == ((0, 6), (6, 6))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<html>")
    with pytest.raises(DatasetError, match=r"broken\.jpg: is neither a JPEG nor a PNG image"):
        DirectTensors([*sources, broken], as_uint8).check(ignore)


BUILD_SLOWLY = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from harness.dataset.tensor_cache import TensorCache

    def slow(encoded):
        time.sleep(0.2)
        return np.zeros((3, 4, 4), np.uint8)

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        sources = sorted((folder / "images").iterdir())
        tell = lambda done, total: print(done, flush=True)
        TensorCache(folder / "cache", slow, "key", (3, 4, 4)).build(sources, tell, workers=2)
"""


@pytest.mark.parametrize(("kill", "exit_status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_build_that_is_ended_leaves_no_process_behind(tmp_path: Path, kill: int, exit_status: int) -> None:
    (tmp_path / "images").mkdir()
    for number in range(200):
        (tmp_path / "images" / f"{number}.jpg").write_text(str(number))
    script = tmp_path / "build_slowly.py"
    script.write_text(textwrap.dedent(BUILD_SLOWLY))
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as build:
        assert build.stdout is not None
        assert build.stderr is not None
        while build.stdout.readline().strip() != "2":
            pass
        if kill == signal.SIGINT:
            os.killpg(build.pid, kill)  # as a terminal does: to the workers as well
        else:
            build.kill()
        # The pipes end when the last process that has them is gone, worker or not.
        _, complaints = build.communicate(timeout=60)
    assert build.returncode == exit_status
    assert complaints.count("Traceback") == (1 if kill == signal.SIGINT else 0)
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) < 200
