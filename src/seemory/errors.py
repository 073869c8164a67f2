"""Every error Seemory raises on purpose.

    SeemoryError                      exit code 1
    ├── UsageError                    2  an argument, a filter or a setting is wrong
    │   ├── ItemNotFound              2  no item of this owner has that id, prefix or path
    │   ├── AdvisorNotFound           2  this owner has no advisor, or no reference, of that name
    │   └── CollectionMismatch        2  the collection was made by another encoder
    │       └── EncoderChanged        2  or by other files of this one
    ├── MediaError                    1  one file; the run goes on
    │   ├── UnreadableMedia              damaged, empty, truncated, not what its name says
    │   ├── UnsupportedMedia             a format we cannot read here, and what would help
    │   └── MediaTooLarge                more pixels than allowed (decompression bombs)
    ├── ModelError                    1
    │   ├── ModelNotFound             2  no such name in the catalogue, no such folder
    │   ├── ModelUnavailable          3  not on disk, and the hub cannot be reached
    │   ├── ModelCorrupt              1  a file's checksum, shape or layout is wrong
    │   └── TowerMissing              2  asked for words from a picture-only encoder, or the reverse
    ├── CriticError                   1  what a critic answers is no critique
    │   └── CriticUnreachable         3  a critic does not answer, or not in time
    ├── Busy                          3  more is asked at once than can be taken on
    ├── TookTooLong                   3  no answer within the time that was given
    ├── ClusterUnreachable            3  no Ray cluster at that address, or no worker of it is left
    └── StoreError                    1
        ├── DatabaseUnreachable       3
        ├── DatabaseBusy              3  all connections stayed in use for as long as one may wait
        ├── DiskFull                  3  Postgres has no room left; what was committed is kept
        ├── MigrationFailed           1
        └── GenerationsChanged        1  an operator changed them meanwhile: look again, and repeat

The message says which file or name, what is wrong, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class SeemoryError(Exception):
    """Anything Seemory refuses or fails at, with a message meant for a person."""

    exit_code: ClassVar[int] = 1


class UsageError(SeemoryError):
    """An argument, a filter or a setting is wrong."""

    exit_code = 2


class ItemNotFound(UsageError):
    """No item of this owner has that id, id prefix or path."""


class AdvisorNotFound(UsageError):
    """This owner has no advisor of that name, or the advisor no such reference."""


class CollectionMismatch(UsageError):
    """The collection's vectors were made by another encoder than the one asked for."""


class EncoderChanged(CollectionMismatch):
    """The encoder's files are no longer those that the collection's vectors were made with."""


class MediaError(SeemoryError):
    """One file could not be used; a run goes on without it."""


class UnreadableMedia(MediaError):
    """The file is damaged, empty, truncated, or not what its name says."""


class UnsupportedMedia(MediaError):
    """The file's format cannot be read here."""


class MediaTooLarge(MediaError):
    """The file would unpack to more pixels than the settings allow."""


class ModelError(SeemoryError):
    """An encoder could not be found, fetched, loaded or run."""


class ModelNotFound(ModelError):
    """Neither the catalogue nor the disk knows that model."""

    exit_code = 2


class ModelUnavailable(ModelError):
    """The model is not on disk and its source cannot be reached."""

    exit_code = 3


class ModelCorrupt(ModelError):
    """A model file's checksum, layout or output is not what its specification says."""


class TowerMissing(ModelError):
    """The encoder has no tower for what was asked (words or pictures)."""

    exit_code = 2


class CriticError(SeemoryError):
    """What a critic answers is no critique."""


class CriticUnreachable(CriticError):
    """A critic does not answer, cannot be had, or does not answer in time."""

    exit_code = 3


class Busy(SeemoryError):
    """More is asked at once than can be taken on: the same may be asked again in a moment."""

    exit_code = 3


class TookTooLong(SeemoryError):
    """There was no answer within the time that was given."""

    exit_code = 3


class ClusterUnreachable(SeemoryError):
    """A Ray cluster cannot be reached, does not fit, or has no worker left."""

    exit_code = 3


class StoreError(SeemoryError):
    """Postgres refused or failed."""


class DatabaseUnreachable(StoreError):
    """No connection to Postgres could be made."""

    exit_code = 3


class DatabaseBusy(StoreError):
    """All connections stayed in use for as long as one may wait for one."""

    exit_code = 3


class DiskFull(StoreError):
    """Postgres has no room left on its disk; what was committed is kept, and work goes on once there is room."""

    exit_code = 3


class MigrationFailed(StoreError):
    """A schema migration could not be applied; the database is as it was before it."""


class GenerationsChanged(StoreError):
    """A collection's generations are no longer those that a caller knew of; nothing was written or answered."""
