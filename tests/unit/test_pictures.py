"""Codes as pictures: there and back, and everything that is no picture of a code."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from p2pnode import pictures
from p2pnode.file_fault import FileFault

TEXT = "P2PNODE:T/" + "ABCDEFGH234567" * 30


def refused(source: Path | bytes) -> str:
    with pytest.raises(FileFault) as caught:
        pictures.read(source)
    fault = caught.value
    assert fault.message
    assert fault.expected
    assert fault.cure
    return fault.reason


def saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_what_is_drawn_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    data = pictures.draw(
        TEXT, path, ["balloon 1", "东门 \N{BALLOON}", "x" * 500, "\x1b[2J"]
    )
    assert path.read_bytes() == data
    assert pictures.read(path) == [TEXT]
    assert pictures.draw(TEXT, None, ["balloon 1"]) == pictures.draw(
        TEXT, None, ["balloon 1"]
    )


@pytest.mark.skipif(os.name != "posix", reason="mode bits and links of POSIX")
def test_a_picture_is_a_new_file_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    pictures.draw(TEXT, path)
    assert path.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "elsewhere")
    for taken in (path, link, tmp_path):
        for act in (pictures.check_new, lambda path: pictures.draw(TEXT, path)):
            with pytest.raises(FileFault) as caught:
                act(taken)
            assert caught.value.reason == "file-exists"
    assert not (tmp_path / "elsewhere").exists()


def test_a_caption_without_a_chinese_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CJK_FONTS", ())
    pictures._chinese_font.cache_clear()
    assert pictures.read(pictures.draw(TEXT, None, ["气球 1"])) == [TEXT]
    pictures._chinese_font.cache_clear()


def test_the_largest_code_is_read() -> None:
    text = "P2PNODE:V/" + "A" * 3_300
    assert pictures.read(pictures.draw(text)) == [text]


@pytest.mark.parametrize("text", ["A" * 4_297, ""])
def test_what_no_code_holds(text: str) -> None:
    with pytest.raises(FileFault) as caught:
        pictures.draw(text)
    assert caught.value.reason == "code-too-long"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "1"),
        ("PNG", "P"),
        ("PNG", "LA"),
        ("PNG", "RGBA"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("WEBP", "RGB"),
        ("BMP", "L"),
    ],
)
def test_formats_and_modes(kind: str, mode: str) -> None:
    picture = opened(pictures.draw(TEXT)).convert(mode)
    assert pictures.read(saved(picture, kind)) == [TEXT]


def test_a_photo_is_turned_grey_and_small() -> None:
    code = opened(pictures.draw(TEXT)).resize((500, 500))
    photo = Image.new("RGB", (1_600, 1_200), (180, 170, 160))
    photo.paste(code.rotate(9, expand=True, fillcolor=255), (400, 300))
    assert pictures.read(saved(photo, "JPEG", quality=80)) == [TEXT]


def test_transparent_is_white() -> None:
    grey = opened(pictures.draw(TEXT)).convert("L")
    black = Image.new("RGBA", grey.size, (0, 0, 0, 255))
    black.putalpha(grey.point(lambda value: 255 - value))
    assert pictures.read(saved(black, "PNG")) == [TEXT]


def test_two_codes_from_top_to_bottom_and_each_once() -> None:
    first, second = (opened(pictures.draw(text)) for text in ("first", "second"))
    sheet = Image.new("L", (first.width * 2, first.height * 2), 255)
    sheet.paste(second, (0, first.height))
    sheet.paste(first, (first.width, 0))
    assert pictures.read(saved(sheet, "PNG")) == ["first", "second"]
    sheet.paste(first, (first.width, first.height))
    assert pictures.read(saved(sheet, "PNG")) == ["first", "second"]


def test_no_code() -> None:
    assert refused(saved(Image.new("L", (300, 300), 200), "PNG")) == "no-code"


def chunk(kind: bytes, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
    )


def png(width: int, height: int, data: bytes, kind: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height"), [(31_623, 31_623), (2**31 - 1, 2**31 - 1), (10_000, 10_000)]
)
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    bomb = png(width, height, zlib.compress(bytes(1_000_000), 9))
    assert refused(bomb) == "picture-too-large"


MEASURE = """
import sys
from pathlib import Path
from p2pnode import pictures
try:
    pictures.read(Path(sys.argv[1]))
except pictures.FileFault as fault:
    print(fault.reason)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it")
def test_the_largest_pictures_take_little_memory(tmp_path: Path) -> None:
    squeeze = zlib.compressobj(1)
    row = bytes(1 + 4 * 8_000)
    body = b"".join(squeeze.compress(row) for _ in range(8_000)) + squeeze.flush()
    colour = png(8_000, 8_000, body, kind=6)
    webp = saved(Image.new("RGB", (4_300, 4_300)), "WEBP", method=0)
    for data in (colour, webp):
        file = tmp_path / "large"
        file.write_bytes(data)
        said = subprocess.run(
            [sys.executable, "-c", MEASURE, str(file)],
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split()
        assert said[0] == "no-code"
        assert int(said[1]) < 400_000


def test_a_costly_format_has_a_lower_cap() -> None:
    webp = saved(Image.new("L", (4_500, 4_500)), "WEBP", method=0)
    assert refused(webp) == "picture-too-large"


def test_a_file_above_the_cap_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(pictures.FILE_MAX + 1)
    assert refused(path) == "picture-too-large"
    assert refused(bytes(pictures.FILE_MAX + 1)) == "picture-too-large"


WHOLE = pictures.draw(TEXT)
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:20],
        b"P2PNODE:T/AAAA\n",
        SVG,
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<<>>endobj",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        png(20, 20, b"not deflate"),
        png(0, 0, b""),
    ],
)
def test_what_is_not_a_picture(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fake.png"
    path.write_bytes(data)
    assert refused(path) == "bad-picture"
    assert refused(data) == "bad-picture"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_every_cut_is_refused_or_read_but_never_fails(kind: str) -> None:
    data = saved(opened(pictures.draw("short")).convert("RGB"), kind)
    for cut in range(0, len(data), max(1, len(data) // 25)):
        try:
            assert pictures.read(data[:cut]) == ["short"]
        except FileFault as fault:
            assert fault.reason in {"bad-picture", "no-code"}  # noqa: PT017


def test_what_is_not_a_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent.png") == "no-file"
    assert refused(tmp_path) == "no-file"
    assert refused(tmp_path / ("P2PNODE" * 100)) == "no-file"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refused(pipe) == "no-file"


def test_the_file_is_named() -> None:
    with pytest.raises(FileFault) as caught:
        pictures.read(Path("absent.png"))
    assert caught.value.message.startswith("absent.png: ")
