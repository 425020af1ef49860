from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.formats.header_xml import format_header, parse_header
from kascade.data.header import Header
from kascade.errors import FileFormatError
from tests.data.h5_files import KNEE_XML

KNEE = Header(
    encoded_matrix=(16, 12, 1),
    recon_matrix=(8, 8, 1),
    encoded_fov_mm=(280.0, 168.0, 4.5),
    recon_fov_mm=(140.0, 140.0, 4.5),
    phase_limits=(0, 5, 9),
    protocol="t1 knee",
    echo_time_ms=(27.0, 54.0),
    repetition_time_ms=(2200.0,),
    inversion_time_ms=(100.0,),
    flip_angle_deg=(140.0,),
    field_strength_t=2.8936,
    coils=3,
    scanner="Maker Model",
)


def test_parses_a_full_header() -> None:
    assert parse_header(KNEE_XML, "knee.h5") == KNEE


def test_text_and_other_namespaces_are_fine() -> None:
    assert parse_header(KNEE_XML.split(b"?>", 1)[1].decode(), "x") == KNEE
    assert parse_header(KNEE_XML.replace(b' xmlns="http://www.ismrm.org/ISMRMRD"', b""), "x") == KNEE


def test_what_is_absent_is_none() -> None:
    assert parse_header(b"<ismrmrdHeader/>", "x") == Header()


def test_zero_means_unknown() -> None:
    xml = KNEE_XML.replace(b"<x>280</x>", b"<x>0</x>").replace(b"<y>12</y>", b"<y>0</y>")
    header = parse_header(xml, "x")
    assert header.encoded_fov_mm is None and header.encoded_matrix is None


BOMB = b"""<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ismrmrdHeader><protocolName>&b;</protocolName></ismrmrdHeader>"""
INTRUDER = b"""<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><ismrmrdHeader>&f;</ismrmrdHeader>"""


@pytest.mark.parametrize(
    "xml",
    [
        BOMB,
        INTRUDER,
        b"",
        b"hello",
        b"<ismrmrdHeader>",
        b"\x00\xff\xfe",
        b'<?xml version="1.0" encoding="klingon"?><a/>',
    ],
)
def test_hostile_or_broken_xml(xml: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"^knee\.h5: ismrmrd_header: not an ISMRMRD header") as caught:
        parse_header(xml, "knee.h5: ismrmrd_header")
    assert "\n" not in str(caught.value)


def test_endless_header() -> None:
    with pytest.raises(FileFormatError, match="17000000 bytes"):
        parse_header(b"x" * 17_000_000, "knee.h5")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"<x>16</x>", b"<x>sixteen</x>", "encodedSpace/matrixSize/x is 'sixteen'; expected a number"),
        (b"<x>16</x>", b"<x>16.5</x>", "is 16.5; expected a whole number"),
        (b"<x>16</x>", b"<x>-16</x>", "is -16; expected a positive number"),
        (b"<x>16</x>", b"<x>99999999999</x>", "expected a whole number up to"),
        (b"<x>280</x>", b"<x>nan</x>", "expected a number"),
        (b"<x>280</x>", b"<x>inf</x>", "expected a number"),
        (b"<TE>54</TE>", b"<TE></TE>", "sequenceParameters/TE is ''; expected a number"),
        (b"<center>5</center>", b"<center>50</center>", "minimum 0, center 50, maximum 9; expected that order"),
    ],
)
def test_numbers_that_make_no_sense(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        parse_header(KNEE_XML.replace(old, new), "knee.h5")


def test_deep_nesting_does_not_crash() -> None:
    depth = 20_000
    assert parse_header(b"<a>" * depth + b"</a>" * depth, "x") == Header()


size = st.integers(1, 2000)
length = st.integers(1, 1 << 20).map(lambda n: n / 1024)
times = st.lists(length, max_size=3).map(tuple)


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Header,
        encoded_matrix=st.none() | st.tuples(size, size, size),
        recon_matrix=st.none() | st.tuples(size, size, size),
        encoded_fov_mm=st.none() | st.tuples(length, length, length),
        recon_fov_mm=st.none() | st.tuples(length, length, length),
        phase_limits=st.none() | st.lists(size, min_size=3, max_size=3).map(lambda n: tuple(sorted(n))),
        protocol=st.none() | st.text("aZ<>&\"'é ", min_size=1).map(lambda t: " ".join(t.split())).filter(bool),
        echo_time_ms=times,
        flip_angle_deg=times,
        field_strength_t=st.none() | length,
        coils=st.none() | size,
    )
)
def test_what_is_written_is_read_again(header: Header) -> None:
    again = parse_header(format_header(header, (2, 3, 16, 12)), "x")
    for name, value in vars(header).items():
        if value is not None:
            assert getattr(again, name) == (pytest.approx(value) if name.endswith(("mm", "ms", "deg", "_t")) else value)


def test_an_unknown_header_pads_and_crops_nothing() -> None:
    header = parse_header(format_header(Header(), (2, 3, 16, 12)), "x")
    assert header == Header((16, 12, 1), (16, 12, 1), None, None, (0, 6, 11), coils=3)
    assert header.padding(12) == (0, 12)
