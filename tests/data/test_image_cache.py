"""What is kept of decoded images for the next start, and the bar while they are decoded."""

from __future__ import annotations

import os
import shutil
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.file_proxy import FileProxy

from lit_lossopt.core.errors import Notice
from lit_lossopt.data import image_cache
from lit_lossopt.data.array_cache import keep_file
from lit_lossopt.data.decoding import DecodingRules, decode_image
from lit_lossopt.data.folder_layout import image_files
from lit_lossopt.data.image_cache import decode_all, read_images, with_bar
from tests.support.odd_images import BAD, NO_FILES, write_bad

RULES = DecodingRules(32)


def kept(cache: Path, ending: str) -> list[Path]:
    return sorted(cache.glob(f"*{ending}"))


def test_decoded_images_are_kept_by_content_and_rules(image_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    files = image_files(image_folder / "test", ["cat"]).images
    first = read_images(files, RULES, cache).pixels
    (one,) = kept(cache, ".npz")
    stamp = one.stat().st_mtime_ns
    np.testing.assert_array_equal(read_images(files, RULES, cache).pixels, first)
    moved = Path(shutil.copytree(image_folder / "test" / "cat", tmp_path / "moved"))
    np.testing.assert_array_equal(read_images(sorted(moved.iterdir()), RULES, cache).pixels, first)
    assert [file.stat().st_mtime_ns for file in kept(cache, ".npz")] == [stamp]
    for number, rules in enumerate((DecodingRules(16), DecodingRules(32, "squash"), DecodingRules(32, "crop", 2000))):
        read_images(files, rules, cache)
        assert len(kept(cache, ".npz")) == number + 2


def test_bad_files_are_remembered_too(tmp_path: Path) -> None:
    write_bad(tmp_path / "bad")
    Image.new("RGB", (32, 32), (1, 2, 3)).save(tmp_path / "bad" / "good.png")
    files = image_files(tmp_path / "bad", None).images
    first, second = (read_images(files, RULES, tmp_path / "kept") for _ in range(2))
    assert first.refused == second.refused
    assert {files[position].name for position in first.refused} == {*BAD, *NO_FILES}
    for found in (first, second):
        assert found.pixels[:, 0, 0].tolist() == [[1, 2, 3]]


def test_files_that_did_not_change_are_not_read_again_and_changed_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    file, cache = tmp_path / "x" / "0.ppm", tmp_path / "kept"
    times = (time.time_ns(), time.time_ns())

    def write(value: int) -> None:
        before = file.stat().st_ctime_ns if file.exists() else 0
        while not file.exists() or file.stat().st_ctime_ns == before:
            file.write_bytes(b"P6 32 32 255\n" + bytes([value]) * 3072)
            os.utime(file, ns=times)

    def value() -> int:
        return int(read_images([file], RULES, cache).pixels[0, 0, 0, 0])

    write(1)
    assert value() == 1
    assert not kept(cache, ".key")
    # As if the file had lain there for longer.
    monkeypatch.setattr(image_cache, "_GRAIN_NS", 0)
    assert value() == 1
    (note,) = kept(cache, ".key")
    write(2)
    assert value() == 2
    other = next(path for path in kept(cache, ".npz") if path.stem != note.read_text())
    assert value() == 2
    (second,) = set(kept(cache, ".key")) - {note}
    assert second.read_text() == other.stem
    second.write_text(note.read_text())
    assert value() == 1


def test_damaged_or_impossible_keeping_costs_time_and_no_result(image_folder: Path, tmp_path: Path) -> None:
    files = image_files(image_folder / "test", ["cat"]).images
    first = read_images(files, RULES, tmp_path / "kept").pixels
    (one,) = kept(tmp_path / "kept", ".npz")
    content = one.read_bytes()
    for damaged in (b"", content[:-100], content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]):
        one.write_bytes(damaged)
        with pytest.warns(Notice, match="is damaged"):
            again = read_images(files, RULES, tmp_path / "kept").pixels
        np.testing.assert_array_equal(again, first)
        assert one.read_bytes() == content
    (tmp_path / "file").write_bytes(b"")
    with pytest.warns(Notice, match="decoded images cannot be kept in"):
        np.testing.assert_array_equal(read_images(files, RULES, tmp_path / "file").pixels, first)


def test_damaged_notes_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "_GRAIN_NS", 0)
    cache = tmp_path / "kept"
    files = []
    for value in (1, 2):
        files.append(tmp_path / f"{value}.ppm")
        files[-1].write_bytes(b"P6 32 32 255\n" + bytes([value]) * 3072)
    for file in files:
        read_images([file], RULES, cache)
    notes = {note: note.read_bytes() for note in kept(cache, ".key")}
    for content in (b"", b"\xff" * 64, b"0" * 63, b"0" * 65, b"../" * 21 + b"x", b"0" * 64 + b"\n"):
        for note in notes:
            note.write_bytes(content)
        # Notes that agree would lead both to the same pixels.
        assert [int(read_images([file], RULES, cache).pixels[0, 0, 0, 0]) for file in files] == [1, 2]
        assert {note: note.read_bytes() for note in kept(cache, ".key")} == notes
    assert len(kept(cache, ".npz")) == 2


def test_who_reads_while_a_file_is_kept_anew_reads_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    keep_file(file, lambda opened: opened.write(b"old" * 1000))
    with file.open("rb", buffering=0) as reader:
        assert reader.read(3) == b"old"
        keep_file(file, lambda opened: opened.write(b"new"))
        assert reader.read() == b"old" * 999
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_bar_shows_on_a_terminal_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png", compress_level=1)
    near, far = os.openpty()
    termios.tcsetwinsize(far, (24, 80))
    with os.fdopen(far, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for _ in with_bar([tmp_path] * 4, "quick"):
            pass
        began = time.perf_counter()
        decode_image(tmp_path / "large.png", RULES)
        each = time.perf_counter() - began
        decode_all([tmp_path / "large.png"] * round(3 / each), RULES)
        monkeypatch.undo()
        os.set_blocking(near, False)
        shown = os.read(near, 100_000)
    os.close(near)
    assert b"decoding images" in shown
    assert b"quick" not in shown
    for _ in with_bar([tmp_path] * 3, "slow"):
        time.sleep(0.5)
    assert capsys.readouterr() == ("", "")


def test_a_bar_leaves_the_display_of_a_sweep_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = os.openpty()
    with os.fdopen(far, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert not with_bar([tmp_path], "free").disable
        monkeypatch.setattr(sys, "stderr", FileProxy(Console(), terminal))
        assert with_bar([tmp_path], "taken").disable
        monkeypatch.setattr(sys, "stderr", None)
        assert with_bar([tmp_path], "closed").disable
        monkeypatch.undo()
    os.close(near)
