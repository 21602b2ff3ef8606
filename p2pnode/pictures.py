"""Codes as pictures: drawn for a printer, read from a photo.

A picture is hostile until it is decoded: bytes and pixels are capped before
any decoder allocates for them, and only four formats have a decoder at all.
Pillow, segno and zxing-cpp are imported when they are needed.
"""

from __future__ import annotations

import functools
import io
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2pnode.failures import NOT_FOUND
from p2pnode.file_fault import FileFault, words

if TYPE_CHECKING:
    from PIL import Image, ImageFont

FILE_MAX: Final = 20_000_000
"""Bytes of a picture: above what phones make of 50 megapixels."""

PIXELS_MAX: Final = 64_000_000
"""Pixels of a picture: phones make up to 50 million."""

HELD_MAX: Final = 5 * PIXELS_MAX
"""Bytes that decoding a picture may take: four of colour and one of grey a pixel."""

WEBP_HELD: Final = 17
"""Bytes a pixel that the WebP decoder takes, and one of grey."""

STRIP: Final = 128
"""Rows that are turned grey at once."""

FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP")
"""What phones and scanners write. Fewer decoders, fewer holes."""

WIDTH_PX: Final = 720
"""Least width of a drawn picture: 6 cm at 300 dpi."""

MODULE_PX_MIN: Final = 6
BORDER_MODULES: Final = 4
"""The quiet zone that ISO/IEC 18004 asks for."""

CAPTION_PX: Final = 26
CAPTION_LINES_MAX: Final = 6
CAPTION_CHARS_MAX: Final = 200

CJK_FONTS: Final = (
    "msyh.ttc",
    "simsun.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
)
"""Fonts with Chinese that Windows, macOS and Linux bring; Pillow knows where."""


def draw(text: str, path: Path | None = None, caption: Sequence[str] = ()) -> bytes:
    """Draw `text` as a QR code with caption lines below it.

    Args:
        text: what the code says.
        path: where to write the picture, or None.
        caption: lines for people; a character no font here has becomes `?`.

    Returns:
        The PNG file.

    Raises:
        FileFault: `code-too-long`, no QR code holds the text; `file-exists`.
        OSError: the file cannot be written.
    """
    picture = _with_caption(_draw_code(text), caption)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    if path is not None:
        write_private(path, file.getvalue())
    return file.getvalue()


def check_new(path: Path) -> None:
    """Refuse a name that no file can get, before anything is done for its sake.

    Raises:
        FileFault: `file-exists`, `no-such-folder`.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise FileFault(
            "no-such-folder",
            words("There is no folder {folder}."),
            words("A folder that exists."),
            words("Make it, or choose another one."),
            folder=path.parent,
        )


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read: a code is worth money.

    Raises:
        FileFault: `file-exists`; nothing is overwritten, no link is followed.
        OSError: the file cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in ("O_NOFOLLOW", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise _exists(path) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _exists(path: Path) -> FileFault:
    return FileFault(
        "file-exists",
        words("{file} exists already."),
        words("A new file."),
        words("Choose another name."),
        file=path,
    )


def read(source: Path | bytes) -> list[str]:
    """Return what the codes in a picture say, each once, from top to bottom.

    Raises:
        FileFault: `no-file`, `picture-too-large`, `bad-picture` or `no-code`.
    """
    name = source.name if isinstance(source, Path) else ""
    try:
        return _codes(_open(_bytes(source)))
    except FileFault as fault:
        fault.at(name)
        raise


def _bytes(source: Path | bytes) -> bytes:
    """The file's bytes, at most one above the cap."""
    if isinstance(source, bytes):
        data = source
    else:
        if not _is_file(source):
            raise FileFault(
                "no-file",
                words("There is no such picture."),
                words("The name of a picture file, or a text P2PNODE:..."),
                words("Check the name and the folder."),
                status=NOT_FOUND,
            )
        with source.open("rb") as file:
            data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise _too_large()
    return data


def _is_file(path: Path) -> bool:
    """Whether it is a plain file: a pipe might never end, a code is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def _open(data: bytes) -> Image.Image:
    """Decode a picture into grey values, transparent parts white."""
    from PIL import Image  # noqa: PLC0415  # 40 ms, only for who needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cap below is stricter
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
            most = _pixels_max(picture)
            if picture.width * picture.height <= most:
                return _grey(picture)
        except Image.DecompressionBombError as error:
            raise _too_large() from error
        except Exception as error:  # decoders fail in every way
            raise FileFault(
                "bad-picture",
                words("This is not a picture that can be read."),
                words("A whole PNG, JPEG, WEBP or BMP file."),
                words("Save or photograph it again, in one of these formats."),
            ) from error
    raise _too_large(most)


def _pixels_max(picture: Image.Image) -> int:
    """How many pixels such a picture may have, by what its decoder takes for each."""
    held = 2 if picture.mode in {"1", "L", "P"} else 5
    if picture.format == "WEBP":
        held = WEBP_HELD
    elif picture.format in {"JPEG", "MPO"}:
        # In several scans, two bytes a sample are held besides the pixels.
        layers = [(max(h, 1), max(v, 1)) for _, h, v, _ in picture.layer]  # type: ignore[attr-defined]
        whole = max(h for h, _ in layers) * max(v for _, v in layers)
        samples = -(-2 * sum(h * v for h, v in layers) // whole)
        held = samples + (5 if picture.mode == "CMYK" else 1)
    return min(PIXELS_MAX, HELD_MAX // held)


def _grey(picture: Image.Image) -> Image.Image:
    """The picture in grey, in strips: whole copies in colour would cost too much."""
    from PIL import Image  # noqa: PLC0415

    picture.draft("L", None)  # a JPEG is decoded without its colours
    picture.load()
    if picture.mode == "L" and not picture.has_transparency_data:
        return picture
    grey = Image.new("L", picture.size, 255)
    for top in range(0, picture.height, STRIP):
        edge = (0, top, picture.width, min(top + STRIP, picture.height))
        strip = picture.crop(edge)
        if picture.has_transparency_data:
            strip = strip.convert("RGBA")
            grey.paste(strip.convert("L"), edge, strip.getchannel("A"))
        else:
            grey.paste(strip.convert("L"), edge)
    return grey


def _codes(picture: Image.Image) -> list[str]:
    import zxingcpp  # noqa: PLC0415

    formats = zxingcpp.barcode_formats_from_str(
        "QRCode,DataMatrix,EAN13,EAN8,UPCA,UPCE,ITF14"
    )
    found = [
        code
        for code in zxingcpp.read_barcodes(
            picture, formats=formats, text_mode=zxingcpp.TextMode.Plain
        )
        if code.text
    ]
    found.sort(key=lambda code: (code.position.top_left.y, code.position.top_left.x))
    if not found:
        raise FileFault(
            "no-code",
            words("There is no readable code in this picture."),
            words("A picture with a QR code, sharp, whole and with a white edge."),
            words("Photograph the code again: closer, straight and in good light."),
        )
    return list(dict.fromkeys(code.text for code in found))


def _too_large(pixels: int = PIXELS_MAX) -> FileFault:
    return FileFault(
        "picture-too-large",
        words("This picture is too large."),
        words("At most {megabytes} MB and {megapixels} megapixels."),
        words("Crop it to the code, or save it smaller."),
        megabytes=FILE_MAX // 1_000_000,
        megapixels=pixels // 1_000_000,
    )


def _draw_code(text: str) -> Image.Image:
    import segno  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    if not text:
        raise _no_such_code()
    try:
        code = segno.make_qr(text, error="m", boost_error=False)
    except segno.DataOverflowError as error:
        raise _no_such_code() from error
    modules = code.symbol_size(border=BORDER_MODULES)[0]
    scale = max(MODULE_PX_MIN, -(-WIDTH_PX // modules))
    file = io.BytesIO()
    code.save(file, kind="png", scale=scale, border=BORDER_MODULES)
    return Image.open(file).convert("L")


def _no_such_code() -> FileFault:
    return FileFault(
        "code-too-long",
        words("This text does not fit into a code."),
        words("1 to about 3,000 characters."),
        words("Shorten it, or write something."),
    )


def _with_caption(code: Image.Image, caption: Sequence[str]) -> Image.Image:
    """The code on a sheet with the caption below it, in its quiet zone's white."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    lines = [_one_line(line) for line in caption[:CAPTION_LINES_MAX]]
    if not lines:
        return code
    high = CAPTION_PX * 3 // 2
    sheet = Image.new("L", (code.width, code.height + high * len(lines) + high), 255)
    sheet.paste(code, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        shown, font = _lettering(line)
        middle = (sheet.width // 2, code.height + high * number)
        pen.text(middle, _fitting(shown, font, sheet.width), 0, font, anchor="ma")
    return sheet


def _one_line(text: str) -> str:
    """The line without what steers a layout engine."""
    kept = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(kept.split())[:CAPTION_CHARS_MAX]


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, cut until it is no wider than the sheet."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def _lettering(text: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """What to write and in which font: the one Pillow brings knows only ASCII."""
    plain = text.encode("ascii", "replace").decode("ascii")
    chinese = None if text == plain else _chinese_font()
    return (plain, _plain_font()) if chinese is None else (text, chinese)


@functools.cache
def _plain_font() -> ImageFont.FreeTypeFont:
    from PIL import ImageFont  # noqa: PLC0415

    font = ImageFont.load_default(CAPTION_PX)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


@functools.cache
def _chinese_font() -> ImageFont.FreeTypeFont | None:
    """A font of this system that has Chinese, or None."""
    from PIL import ImageFont  # noqa: PLC0415

    for name in CJK_FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, CAPTION_PX)
    return None
