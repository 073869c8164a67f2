from __future__ import annotations

import json

import pytest

from seemory.errors import UsageError
from seemory.media.captioned import Captioned, read_captions

WANTED = [Captioned("a.jpg", ("A cat .", "Black, and asleep")), Captioned("b.jpg", ("a dog",))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", 'image,caption\nb.jpg,a dog\na.jpg,A cat .\na.jpg, "Black, and  asleep"\n'),
        ("captions.txt", 'image,caption\r\na.jpg,A cat .\r\na.jpg,"Black, and asleep"\r\nb.jpg,a dog\r\nb.jpg,\r\n'),
        ("Flickr8k.token.txt", "b.jpg#0\ta dog\na.jpg#0\tA cat .\na.jpg#1\tBlack, and asleep\n\n"),
        (
            "coco.json",
            json.dumps(
                {
                    "images": [
                        {"id": 3, "file_name": "a.jpg"},
                        {"id": 1, "file_name": "b.jpg"},
                        {"id": 9, "file_name": "c.jpg"},
                    ],
                    "annotations": [
                        {"image_id": 3, "id": 1, "caption": "A cat .\n"},
                        {"image_id": 1, "id": 2, "caption": "a dog"},
                        {"image_id": 3, "id": 3, "caption": "Black, and asleep"},
                    ],
                }
            ),
        ),
        (
            "list.json",
            json.dumps(
                [
                    {"image": "b.jpg", "captions": "a dog"},
                    {"image": "a.jpg", "captions": ["A cat .", "Black, and asleep", " "]},
                ]
            ),
        ),
    ],
)
def test_every_layout_says_the_same(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())  # with the mark that spreadsheets write
    assert read_captions(path) == WANTED


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "needs the columns image and caption"),
        (b"file,text\na.jpg,a dog\n", "needs the columns image and caption"),
        (b"image,caption\n", "no captions in it"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "not readable JSON"),
        (b'{"images": []}', "another form"),
        (
            b'{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, "caption": "x"}]}',
            "another form",
        ),
        (b'[{"image": "a.jpg"}]', "another form"),
        (b'[{"image": "../../etc/passwd", "captions": ["x"]}]', "no name of a picture below"),
        (b'[{"image": "/etc/passwd", "captions": ["x"]}]', "no name of a picture below"),
        (b'[{"image": "a\\u0000.jpg", "captions": ["x"]}]', "no name of a picture below"),
        (b"a.jpg#0\tx\nwithout a tab\n", "line 2"),
    ],
)
def test_another_file_is_refused_with_its_name_and_what_it_needs(tmp_path, content, says):
    path = tmp_path / "captions"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as refused:
        read_captions(path)
    assert str(path) in str(refused.value)


def test_the_captions_beside_the_project(shared):
    flickr = read_captions(shared / "flickr8k_600" / "captions.csv")
    coco = read_captions(shared / "coco_mini" / "captions.json")
    assert (len(flickr), len(coco)) == (594, 159)
    assert {len(one.captions) for one in flickr} == {5}
    assert flickr[0].captions[0] == "A black dog and a spotted dog are fighting"
