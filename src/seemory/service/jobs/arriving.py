"""A form of many files → files on disk, as they come: never more of them in memory than a piece of one."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from seemory.service.refusals import Refused

MOST_FILES: Final = 2000
_LONGEST_HEADER: Final = 8192  # bytes of all that one part says of itself
_LONGEST_NAME: Final = 255


class Arriving:
    """Takes the pieces of a body `multipart/form-data` and writes its files into a folder, by number from 0."""

    def __init__(self, content_type: str, folder: Path, *, most_bytes: int, most_files: int = MOST_FILES) -> None:
        """Nothing has come yet.

        Args:
            content_type: what the request says of its body.
            folder: where files are put.
            most_bytes: of one file.
            most_files: of all.

        Raises:
            Refused: the body is no form, or does not say how its parts are told apart.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise Refused(415, "NoForm", "send pictures as the files of a form: multipart/form-data")
        self.names: list[str] = []
        """What the client calls the files that are there."""
        self._folder, self._most, self._most_files = folder, most_bytes, most_files
        self._file: IO[bytes] | None = None
        self._size = 0
        self._header: tuple[bytes, bytes] = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._name,
                    "on_header_value": self._value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._open,
                    "on_part_data": self._data,
                    "on_part_end": self._close,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _broken(error) from None

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            Refused: it is no form, or has too many files, or one that is too large.
            OSError: it cannot be written.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _broken(error) from None

    def end(self) -> tuple[str, ...]:
        """The names of the files, which are all there. Raises Refused where the body ended early, or had none."""
        if not self._ended:
            raise Refused(422, "BrokenForm", "the form ended before its end")
        if not self.names:
            raise Refused(422, "NoFiles", "the form has no files: each picture is a part with a file name")
        return tuple(self.names)

    def close(self) -> None:
        """Close what is open, however it ended."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers, self._header = {}, (b"", b"")

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._hear(data[start:end], b"")

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._hear(b"", data[start:end])

    def _hear(self, name: bytes, value: bytes) -> None:
        self._header = self._header[0] + name, self._header[1] + value
        if sum(map(len, (*self._header, *self._headers, *self._headers.values()))) > _LONGEST_HEADER:
            raise Refused(422, "BrokenForm", "a part of the form says too much of itself")

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"filename" not in options:
            raise Refused(422, "NoFile", "each part of the form is a picture's file, with a name")
        if len(self.names) >= self._most_files:
            raise Refused(413, "TooManyFiles", f"one upload may have at most {self._most_files:,} files")
        name = options[b"filename"].decode("utf-8", "replace")
        self._file = (self._folder / f"{len(self.names):06d}").open("xb")
        self.names.append(name.replace("\x00", "")[-_LONGEST_NAME:])
        self._size = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        self._size += end - start
        if self._size > self._most:
            raise Refused(413, "FileTooLarge", f"a picture may have at most {self._most:,} bytes")
        self._file.write(data[start:end])

    def _close(self) -> None:
        self.close()

    def _end(self) -> None:
        self._ended = True


def _broken(error: Exception) -> Refused:
    return Refused(422, "BrokenForm", f"the form cannot be read: {str(error)[:200]}")
