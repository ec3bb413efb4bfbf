"""Hostile files by hand: each tells one lie about a count, a size, an offset or a length, or is built to be endless."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from tests.hostile.writing import (
    box,
    chunk,
    element,
    extended,
    large_box,
    nested,
    number,
    ogg_page,
    png_chunk,
    with_box_size,
    with_field,
)

Files = Iterator[tuple[str, bytes]]

ALL_ONES, LARGEST, ZERO, ONE = (struct.pack(">I", value) for value in (0xFFFFFFFF, 0x7FFFFFFF, 0, 1))
FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")


def made_files(clips: Mapping[str, bytes]) -> dict[str, bytes]:
    """All of them by name; they are made from real clips, which `clips` holds by their ending."""
    files: dict[str, bytes] = {}
    for make in _MAKERS:
        for name, content in make(clips):
            assert name not in files, name
            files[name] = content
    return files


# --- MP4 and QuickTime -----------------------------------------------------------------------------------------------


def _tables(clips: Mapping[str, bytes]) -> Files:
    """Sample tables that claim more than there is, nothing, or samples beyond the end."""
    mp4 = clips["mp4"]
    for table in (b"stts", b"stsz", b"stsc", b"stco", b"stss"):
        at = 8 if table == b"stsz" else 4
        for label, value in (("all", ALL_ONES), ("largest", LARGEST), ("none", ZERO)):
            yield f"{table.decode()}_count_{label}.mp4", with_field(mp4, table, at, value)
    yield "ctts_count.mp4", with_field(clips["edited.mp4"], b"ctts", 4, LARGEST)
    yield "elst_count.mp4", with_field(clips["edited.mp4"], b"elst", 4, LARGEST)
    yield "elst_length.mp4", with_field(clips["edited.mp4"], b"elst", 8, LARGEST + ALL_ONES)
    yield "stts_length_sparse.mp4", with_field(mp4, b"stts", 12, struct.pack(">I", 100_000 * 10_240))
    yield "stts_length_largest.mp4", with_field(mp4, b"stts", 12, LARGEST)
    yield "stts_length_none.mp4", with_field(mp4, b"stts", 12, ZERO)
    yield "stsz_size.mp4", with_field(mp4, b"stsz", 4, LARGEST)
    yield "stsz_sizes.mp4", with_field(mp4, b"stsz", 12, ALL_ONES * 3)
    yield "stco_offset.mp4", with_field(mp4, b"stco", 8, ALL_ONES)
    yield "stsc_samples.mp4", with_field(mp4, b"stsc", 12, LARGEST)
    yield "stsd_count.mp4", with_field(mp4, b"stsd", 4, LARGEST)
    yield "trun_count.mp4", with_field(clips["fragmented.mp4"], b"trun", 4, LARGEST)
    yield "tfdt_time.mp4", with_field(clips["fragmented.mp4"], b"tfdt", 4, LARGEST + ALL_ONES)
    yield "trex_size.mp4", with_field(clips["fragmented.mp4"], b"trex", 16, ALL_ONES)


def _headers(clips: Mapping[str, bytes]) -> Files:
    """Times, sizes and rates that no film has."""
    mp4 = clips["mp4"]
    for name in (b"mvhd", b"mdhd"):
        yield f"{name.decode()}_scale_zero.mp4", with_field(mp4, name, 12, ZERO)
        yield f"{name.decode()}_scale_largest.mp4", with_field(mp4, name, 12, ALL_ONES)
        yield f"{name.decode()}_length.mp4", with_field(mp4, name, 16, LARGEST)
    yield "tkhd_size.mp4", with_field(mp4, b"tkhd", 76, ALL_ONES * 2)
    yield "tkhd_matrix.mp4", with_field(mp4, b"tkhd", 40, ALL_ONES * 9)
    yield "tkhd_same_ids.mp4", with_field(mp4, b"tkhd", 12, ZERO)
    yield "avc1_size_zero.mp4", with_field(mp4, b"avc1", 24, ZERO)
    yield "avc1_size_largest.mp4", with_field(mp4, b"avc1", 24, ALL_ONES)
    yield "avcC_empty.mp4", with_field(mp4, b"avcC", 0, b"\0" * 20)
    yield "mp4a_channels.mp4", with_field(mp4, b"mp4a\0\0\0\0\0\0", 10, b"\xff\xff")
    yield "mp4a_rate.mp4", with_field(mp4, b"mp4a\0\0\0\0\0\0", 18, ALL_ONES)
    yield "pcm_channels_none.mov", with_field(clips["mov"], b"sowt", 16, b"\0\0")
    yield "pcm_channels_many.mov", with_field(clips["mov"], b"sowt", 16, b"\xff\xff")
    yield "pcm_rate_none.mov", with_field(clips["mov"], b"sowt", 24, ZERO)
    yield "hdlr_unknown.mp4", with_field(mp4, b"hdlr", 8, b"\0\0\0\0")
    yield "codec_unknown.mp4", mp4.replace(b"avc1", b"qqqq").replace(b"mp4a", b"zzzz")
    yield "esds_length.mp4", with_field(mp4, b"esds", 4, b"\x03\xff\xff\xff\x7f")


def _boxes(clips: Mapping[str, bytes]) -> Files:
    """Boxes that are empty, endless, inside themselves or longer than the file."""
    mp4 = clips["mp4"]
    for name in (b"moov", b"trak", b"mdia", b"stbl", b"stsd"):
        for size in (0, 1, 7, 0xFFFFFFFF):
            yield f"{name.decode()}_box_{size:x}.mp4", with_box_size(mp4, name, size)
    yield "mdat_box_short.mp4", with_box_size(mp4, b"mdat", 9)
    yield "moov_box_64.mp4", FTYP + large_box(b"moov", b"\0" * 40, (1 << 63) - 1)
    yield "moov_empty.mp4", FTYP + box(b"moov") + box(b"mdat")
    yield "trak_empty.mp4", FTYP + box(b"moov", box(b"trak") * 1000) + box(b"mdat", b"\0" * 16)
    yield "trak_many.mp4", FTYP + box(b"moov", box(b"trak", box(b"mdia")) * 20_000)
    yield "boxes_empty.mp4", FTYP + box(b"free") * 100_000
    yield "boxes_of_no_size.mp4", FTYP + box(b"free", size=0) * 1000
    yield "moov_nested.mp4", FTYP + nested(b"moov", 5000)
    yield "udta_nested.mp4", FTYP + box(b"moov", nested(b"udta", 50_000))
    yield "meta_nested.mp4", FTYP + box(b"moov", box(b"udta", box(b"meta", b"\0" * 4 + nested(b"ilst", 5000))))
    yield "uuid_only.mp4", FTYP + box(b"uuid", b"\xff" * 16) * 500
    for index, title in enumerate((b"No space left on device", b"Exiting normally, received signal 15.")):
        yield f"title_{index}.mp4", with_field(_titled(mp4, b"a\n" + title), b"avcC", 0, b"\0" * 20)
    # As a camera would write them, six of these once stopped a whole job type.
    for label, inner in _compressed_indexes(mp4):
        yield f"cmov_{label}.mov", box(b"ftyp", b"qt  \0\0\2\0qt  ") + box(b"moov", box(b"cmov", inner))


def _titled(mp4: bytes, title: bytes) -> bytes:
    """With a title. It moves the media behind the index, where the index does not expect it."""
    entry = box(b"\xa9nam", box(b"data", ONE + ZERO + title))
    handler = box(b"hdlr", ZERO * 2 + b"mdirappl" + ZERO * 2 + b"\0")
    tags = box(b"udta", box(b"meta", ZERO + handler + box(b"ilst", entry)))
    start = mp4.index(b"moov") - 4
    size = struct.unpack(">I", mp4[start : start + 4])[0]
    moov = struct.pack(">I", size + len(tags)) + mp4[start + 4 : start + size] + tags
    return mp4[:start] + moov + mp4[start + size :]


def _compressed_indexes(mp4: bytes) -> Files:
    index = mp4[mp4.index(b"moov") - 4 :]
    index = index[: struct.unpack(">I", index[:4])[0]]
    packed = zlib.compress(index)
    way = box(b"dcom", b"zlib")
    yield "empty", b""
    yield "no_data", way
    yield "rubbish", way + box(b"cmvd", struct.pack(">I", 1000) + b"\xa5" * 100)
    yield "length", way + box(b"cmvd", LARGEST + packed)
    yield "none", way + box(b"cmvd", ZERO + packed)
    yield "honest", way + box(b"cmvd", struct.pack(">I", len(index)) + packed)
    yield "bomb", way + box(b"cmvd", struct.pack(">I", 1 << 24) + zlib.compress(b"\0" * (1 << 24), 9))
    yield "other_way", box(b"dcom", b"lzma") + box(b"cmvd", ZERO + packed)


# --- Matroska and WebM -----------------------------------------------------------------------------------------------

EBML = element("1a45dfa3", element("4282", b"matroska") + element("4287", number(4)) + element("4285", number(2)))


def _matroska(
    *,
    scale: int = 1_000_000,
    length: bytes = struct.pack(">d", 500.0),
    width: int = 64,
    codec: bytes = b"V_MPEG4/ISO/ASP",
) -> bytes:
    about = element("1549a966", element("2ad7b1", number(scale, 8)) + element("4489", length))
    picture = element("e0", element("b0", number(width)) + element("ba", number(48)))
    entry = element("d7", number(1)) + element("73c5", number(1)) + element("83", number(1, 1)) + element("86", codec)
    tracks = element("1654ae6b", element("ae", entry + picture))
    block = element("a3", b"\x81\0\0\x80" + b"\0\0\1\xb6" + b"\xa5" * 60)
    return EBML + element("18538067", about + tracks + element("1f43b675", element("e7", number(0)) + block))


def _ebml(clips: Mapping[str, bytes]) -> Files:
    """Elements of Matroska: unknown and impossible sizes, depths, scales and durations."""
    yield "scale_zero.mkv", _matroska(scale=0)
    yield "scale_largest.mkv", _matroska(scale=(1 << 63) - 1)
    for label, seconds in (("nan", float("nan")), ("inf", float("inf")), ("negative", -1e300), ("large", 1e300)):
        yield f"length_{label}.mkv", _matroska(length=struct.pack(">d", seconds))
    yield "width_zero.mkv", _matroska(width=0)
    yield "width_largest.mkv", _matroska(width=0xFFFFFFFF)
    yield "codec_unknown.mkv", _matroska(codec=b"V_QQQQ")
    yield "codec_none.mkv", _matroska(codec=b"")
    yield "segment_unknown.mkv", EBML + element("18538067", b"", -1)
    yield "segment_largest.mkv", EBML + element("18538067", b"\0" * 40, (1 << 56) - 2)
    yield "head_only.mkv", EBML
    yield "head_largest.mkv", bytes.fromhex("1a45dfa3") + b"\x01" + b"\xff" * 6 + b"\xfe" + b"\0" * 30
    yield "voids.mkv", EBML + element("18538067", element("ec", b"") * 50_000)
    depth = b""
    for _ in range(500):
        depth = element("b6", depth)
    yield "chapters_nested.mkv", EBML + element("18538067", element("1043a770", element("45b9", depth)))
    yield "tags_largest.mkv", EBML + element("18538067", element("1254c367", b"\0" * 20, 1 << 40))
    lacing = element("a3", b"\x81\0\0\x86\xff" + b"\xff" * 200)
    yield "lacing.mkv", clips["mkv"] + element("1f43b675", element("e7", number(0)) + lacing)
    cluster = element("1f43b675", element("e7", number((1 << 63) - 1, 8)))
    yield "cluster_time.mkv", clips["mkv"] + cluster
    yield "cluster_size.webm", clips["webm"] + bytes.fromhex("1f43b675") + b"\x01" + b"\xff" * 6 + b"\xfe"


# --- RIFF, IFF and their kin -----------------------------------------------------------------------------------------


def _wav(
    *, kind: int = 1, channels: int = 1, rate: int = 16_000, align: int = 2, bits: int = 16, size: int | None = None
) -> bytes:
    head = struct.pack("<HHIIHH", kind, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    body = chunk(b"fmt ", head) + chunk(b"data", b"\1\2" * 400, size)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def _riff(clips: Mapping[str, bytes]) -> Files:
    """WAV and AVI: rates, channels, lengths and depths."""
    yield "rate_one.wav", _wav(rate=1)
    yield "rate_zero.wav", _wav(rate=0)
    yield "rate_largest.wav", _wav(rate=0xFFFFFFFF)
    yield "channels_none.wav", _wav(channels=0)
    yield "channels_many.wav", _wav(channels=0xFFFF)
    yield "align_none.wav", _wav(align=0)
    yield "bits_none.wav", _wav(bits=0)
    yield "bits_many.wav", _wav(bits=0xFFFF)
    yield "kind_unknown.wav", _wav(kind=0x7777)
    yield "data_largest.wav", _wav(size=0xFFFFFFFF)
    yield "format_largest.wav", b"RIFF\xff\xff\xff\xffWAVE" + chunk(b"fmt ", b"\0" * 16, 0xFFFFFFF0)
    yield "chunks_empty.wav", b"RIFF\xff\xff\xff\xffWAVE" + chunk(b"junk", b"") * 50_000
    yield "no_chunks.wav", b"RIFF\x04\0\0\0WAVE"
    avi = clips["avi"]
    little = struct.pack("<I", 0x7FFFFFFF)
    yield "frame_time_zero.avi", with_field(avi, b"avih", 4, ZERO)
    yield "frame_time_largest.avi", with_field(avi, b"avih", 4, ALL_ONES)
    yield "frames_largest.avi", with_field(avi, b"avih", 20, little)
    yield "streams_largest.avi", with_field(avi, b"avih", 28, little)
    yield "scale_zero.avi", with_field(avi, b"strh", 24, ZERO)
    yield "rate_largest.avi", with_field(avi, b"strh", 28, ALL_ONES)
    yield "length_largest.avi", with_field(avi, b"strh", 36, ALL_ONES)
    yield "picture_size.avi", with_field(avi, b"strf", 8, little * 2)
    yield "format_size.avi", with_field(avi, b"strf", 0, ALL_ONES)
    yield "index_size.avi", with_field(avi, b"idx1", 0, ALL_ONES)
    yield "index_offsets.avi", with_field(avi, b"idx1", 12, ALL_ONES * 8)
    depth = b""
    for _ in range(300):
        depth = chunk(b"LIST", b"hdrl" + depth)
    yield "lists_nested.avi", b"RIFF\xff\xff\xff\x7fAVI " + depth


def _iff(clips: Mapping[str, bytes]) -> Files:
    """AIFF, CAF, AU, W64: rates that are no numbers, tables without end, headers beyond the file."""
    rates = (("nan", extended(1, 0x7FFF)), ("inf", extended(1 << 63, 0x7FFF)), ("zero", extended(0, 0)))
    for label, rate in (*rates, ("largest", extended((1 << 64) - 1, 0x7FFE))):
        common = chunk(b"COMM", struct.pack(">hIh", 1, 400, 16) + rate, order=">")
        sound = chunk(b"SSND", b"\0" * 8 + b"\1\2" * 400, order=">")
        yield f"rate_{label}.aiff", b"FORM\x7f\xff\xff\xffAIFF" + common + sound
    yield "channels_none.aiff", with_field(clips["aiff"], b"COMM", 4, b"\0\0")
    yield "frames_largest.aiff", with_field(clips["aiff"], b"COMM", 6, ALL_ONES)
    for label, rate in (("nan", float("nan")), ("zero", 0.0), ("large", 1e300)):
        yield f"rate_{label}.caf", with_field(clips["caf"], b"desc", 8, struct.pack(">d", rate))
    yield "packets.caf", with_field(clips["caf"], b"desc", 24, ZERO * 2)
    yield "data_size.caf", with_field(clips["caf"], b"data", 0, LARGEST * 2)
    yield "head_offset.au", clips["au"][:4] + ALL_ONES + clips["au"][8:]
    yield "channels.au", clips["au"][:20] + ALL_ONES + clips["au"][24:]
    yield "sizes.w64", with_field(clips["w64"], b"data", 12, ALL_ONES * 2)


# --- sound, by frames and pages --------------------------------------------------------------------------------------


def _sounds(clips: Mapping[str, bytes]) -> Files:
    """MP3, FLAC, Ogg, AAC: tags, headers and pages that lie."""
    yield "tag_size.mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + clips["mp3"]
    yield "tags_many.mp3", b"ID3\4\0\0\0\0\0\0" * 20_000 + clips["mp3"]
    yield "frame_size.mp3", b"ID3\4\0\0\0\0\1\0TXXX\xff\xff\xff\xff\0\0" + b"\0" * 120 + clips["mp3"]
    yield "xing_frames.mp3", with_field(with_field(clips["mp3"], b"Xing", 4, ALL_ONES), b"Info", 4, ALL_ONES)
    flac = clips["flac"]
    for label, at, value in (
        ("blocks_none", 8, b"\0\0\0\0"),
        ("rate_zero", 18, b"\0\0\0"),
        ("samples_most", 21, b"\xff" * 5),
        ("rate_largest", 18, b"\xff\xff\xff\xff"),
    ):
        yield f"{label}.flac", flac[:at] + value + flac[at + len(value) :]
    yield "metadata_size.flac", flac[:4] + b"\4\xff\xff\xff" + flac[4:]
    cover = struct.pack(">II", 3, 9) + b"image/png" + ZERO + LARGEST * 4 + ALL_ONES
    yield "cover_size.flac", flac[:42] + b"\x06" + len(cover).to_bytes(3, "big") + cover + flac[42:]
    head = b"OpusHead\1\2" + struct.pack("<HIhB", 0, 48_000, 0, 0)
    first = ogg_page(head, kind=2, granule=0, sequence=0)
    tags = ogg_page(b"OpusTags" + b"\xff" * 8, kind=0, granule=0, sequence=1)
    yield "tags_size.ogg", first + tags
    yield "channels_none.ogg", ogg_page(head.replace(b"\1\2", b"\1\0"), kind=2, granule=0, sequence=0) + tags
    yield "channels_many.ogg", ogg_page(head.replace(b"\1\2", b"\1\xff"), kind=2, granule=0, sequence=0) + tags
    end = ogg_page(b"\xfc" * 20, kind=4, granule=(1 << 63) - 1, sequence=9)
    yield "granule.ogg", clips["ogg"] + end
    yield "segments.ogg", first + ogg_page(b"\0" * 40, kind=0, granule=0, sequence=1, segments=b"\xff" * 255)
    yield "vorbis.ogg", ogg_page(b"\1vorbis" + b"\0" * 23, kind=2, granule=0, sequence=0)
    yield "frame_length.aac", with_field(clips["aac"], b"\xff\xf1", 1, b"\x7f\xff\xff")


# --- streams ---------------------------------------------------------------------------------------------------------


def _streams(clips: Mapping[str, bytes]) -> Files:
    """TS, FLV, MPEG, MXF, ASF, IVF, raw H.264."""
    ts = clips["ts"]
    empty = b"\x47\x1f\xff\x20\xb7" + b"\xff" * 183
    yield "adaptation.ts", b"".join(ts[at : at + 4] + b"\xff" + ts[at + 5 : at + 188] for at in range(0, len(ts), 188))
    yield "packets_empty.ts", empty * 5000
    yield "program.ts", ts[:188] + b"\x47\x50\x00\x10\0\2\xff\xff" + b"\xff" * 180 + ts[188:]
    yield "clock.ts", with_field(ts, b"\0\0\1\xe0", 5, b"\x2f\xff\xff\xff\xff")
    flv = clips["flv"]
    yield "tag_size.flv", flv[:14] + b"\xff\xff\xff" + flv[17:]
    yield "length.flv", with_field(flv, b"duration", 1, struct.pack(">d", 1e308))
    yield "length_nan.flv", with_field(flv, b"duration", 1, struct.pack(">d", float("nan")))
    yield "time_jump.flv", flv + b"\x09\0\0\5\xff\xff\xff\x7f\0\0\0\x22\0\0\x84\0" + b"\0\0\0\x10"
    yield "head_offset.flv", flv[:5] + ALL_ONES + flv[9:]
    yield "objects_nested.flv", flv[:13] + b"\x12\0\x13\x88" + b"\0" * 7 + b"\2\0\nonMetaData" + b"\3\0\1a" * 1250
    mpg = clips["mpg"]
    yield "size_largest.mpg", with_field(mpg, b"\0\0\1\xb3", 0, b"\xff\xff\xff\xff")
    yield "size_zero.mpg", with_field(mpg, b"\0\0\1\xb3", 0, b"\0\0\0\x13")
    yield "packet_size.mpg", with_field(mpg, b"\0\0\1\xe0", 0, b"\xff\xff")
    key = bytes.fromhex("060e2b34020501010d01020101020400")
    yield "key_length.mxf", clips["mxf"] + key + b"\x88" + b"\x7f" + b"\xff" * 7
    yield "partition_size.mxf", with_field(clips["mxf"], key[:13], 3, b"\x88\x7f" + b"\xff" * 7)
    asf_data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
    yield "data_size.asf", with_field(clips["asf"], asf_data, 0, b"\xff" * 8)
    yield "object_size.asf", clips["asf"][:16] + b"\xff" * 8 + clips["asf"][24:]
    ivf = clips["ivf"]
    yield "scale_zero.ivf", ivf[:16] + b"\0" * 8 + ivf[24:]
    yield "frame_size.ivf", ivf[:32] + b"\xff\xff\xff\x7f" + ivf[36:]
    yield "times.ivf", ivf[:36] + b"\xff" * 7 + b"\x7f" + ivf[44:]
    yield "parameters.h264", b"\0\0\0\1\x67\x64\0\x34" + b"\0" * 40 + clips["h264"]
    yield "units_empty.h264", b"\0\0\0\1" * 50_000


# --- pictures --------------------------------------------------------------------------------------------------------


def _gif(width: int, height: int, frames: int, delay: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\4\0" + struct.pack("<H", delay) + b"\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    return head + (frame + b"\2\2\x44\1\0") * frames + b"\x3b"


def _gifs(clips: Mapping[str, bytes]) -> Files:
    """GIF: canvases, delays and blocks."""
    yield "hours.gif", _gif(2, 2, 2000, 0xFFFF)
    yield "canvas_8000.gif", _gif(8000, 8000, 3, 10)
    yield "canvas_largest.gif", _gif(0xFFFF, 0xFFFF, 1, 10)
    yield "canvas_none.gif", _gif(0, 0, 1, 10)
    yield "frames_many.gif", _gif(1, 1, 5000, 0)
    yield "code_size.gif", _gif(2, 2, 1, 1).replace(b"\2\2\x44", b"\xff\2\x44")
    yield "extensions.gif", _gif(2, 2, 1, 1)[:-1] + b"\x21\xfe\1a\0" * 20_000
    yield "frame_outside.gif", _gif(2, 2, 1, 1).replace(struct.pack("<HHHH", 0, 0, 1, 1), b"\xff" * 8)
    yield "cut.gif", clips["gif"][:40]


def _png(width: int, height: int, pixels: bytes, *more: bytes, depth: int = 8, kind: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + b"".join(more) + png_chunk(b"IDAT", pixels)


def _images(clips: Mapping[str, bytes]) -> Files:
    """PNG, JPEG, WebP, BMP, TIFF: sizes, bombs and loops."""
    small = zlib.compress(b"\0" * 65 * 48)
    yield "size_largest.png", _png(0x7FFFFFFF, 0x7FFFFFFF, small)
    yield "size_zero.png", _png(0, 0, small)
    yield "size_8000.png", _png(8000, 8000, zlib.compress(b"\0" * 8001 * 100))
    bomb = zlib.compress(b"\0" * (32 << 20), 9)
    yield "text_bomb.png", _png(64, 48, small, png_chunk(b"zTXt", b"a\0\0" + bomb))
    yield "profile_bomb.png", _png(64, 48, small, png_chunk(b"iCCP", b"a\0\0" + bomb))
    yield "chunk_size.png", _png(64, 48, small, png_chunk(b"tEXt", b"a", 0x7FFFFFFF))
    yield "depth.png", _png(64, 48, small, depth=255, kind=255)
    jpeg = clips["jpeg"]
    frame = jpeg.index(b"\xff\xc0")
    yield "size_largest.jpeg", jpeg[: frame + 5] + b"\xff\xff\xff\xff" + jpeg[frame + 9 :]
    yield "size_zero.jpeg", jpeg[: frame + 5] + b"\0\0\0\0" + jpeg[frame + 9 :]
    yield "segment.jpeg", jpeg[:2] + b"\xff\xe1\xff\xff" + jpeg[2:]
    yield "fills.jpeg", jpeg[:2] + b"\xff" * 200_000 + jpeg[2:]
    webp = clips["webp"]
    canvas = (16_383).to_bytes(3, "little")
    extra = chunk(b"VP8X", b"\x02\0\0\0" + canvas * 2)
    yield "canvas.webp", b"RIFF" + struct.pack("<I", 4 + len(extra) + len(webp) - 12) + b"WEBP" + extra + webp[12:]
    yield "chunk_size.webp", with_field(webp, b"VP8 ", 0, ALL_ONES)
    yield "size.bmp", clips["bmp"][:18] + struct.pack("<ii", 0x7FFFFFFF, -0x7FFFFFFF) + clips["bmp"][26:]
    yield "directory_loop.tiff", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield "directory_size.tiff", b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\4\0\xff\xff\xff\xff" * 100


_MAKERS = (_tables, _headers, _boxes, _ebml, _riff, _iff, _sounds, _streams, _gifs, _images)
