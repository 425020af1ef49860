"""The ISMRMRD header, XML in every fastMRI and ISMRMRD file: parsed without trust, and written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from kascade.data.header import Header
from kascade.errors import FileFormatError

__all__ = ["format_header", "parse_header"]

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
PROTON_HZ_PER_TESLA = 42.577478518e6  # gyromagnetic ratio over 2 pi, CODATA 2018
_MAX_BYTES = 1 << 24
_MAX_MATRIX = 1 << 20


def parse_header(xml: bytes | str, where: str) -> Header:
    """Parse an ISMRMRD header.

    Parameters
    ----------
    xml : bytes or str
        The document; of several encodings the first counts.
    where : str
        File and data set, for messages.

    Returns
    -------
    Header
        What is absent, or 0 where only positive numbers mean something, is None or empty in it.

    Raises
    ------
    FileFormatError
        If it is no well-formed XML, declares entities or a document type, or a number makes no sense.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if len(xml) > _MAX_BYTES:
        raise FileFormatError(f"{where}: {len(xml)} bytes; an ISMRMRD header has some thousand")
    try:
        root = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{where}: not an ISMRMRD header ({reason[:200]}); expected plain XML") from error
    return _Reader(root, where).header()


class _Reader:
    """Looks elements up by their path, whatever their namespace."""

    def __init__(self, root: Element, where: str) -> None:
        self.root, self.where = root, where

    def header(self) -> Header:
        return Header(
            encoded_matrix=self._matrix("encoding/encodedSpace/matrixSize"),
            recon_matrix=self._matrix("encoding/reconSpace/matrixSize"),
            encoded_fov_mm=self._fov("encoding/encodedSpace/fieldOfView_mm"),
            recon_fov_mm=self._fov("encoding/reconSpace/fieldOfView_mm"),
            phase_limits=self._limits("encoding/encodingLimits/kspace_encoding_step_1"),
            protocol=self._text("measurementInformation/protocolName"),
            echo_time_ms=self._numbers("sequenceParameters/TE"),
            repetition_time_ms=self._numbers("sequenceParameters/TR"),
            inversion_time_ms=self._numbers("sequenceParameters/TI"),
            flip_angle_deg=self._numbers("sequenceParameters/flipAngle_deg"),
            field_strength_t=self._positive("acquisitionSystemInformation/systemFieldStrength_T"),
            coils=self._count("acquisitionSystemInformation/receiverChannels"),
            scanner=self._scanner(),
        )

    def _all(self, path: str) -> Iterator[Element]:
        level = [self.root]
        for name in path.split("/"):
            level = [child for element in level for child in element if _local(child) == name]
        return iter(level)

    def _text(self, path: str) -> str | None:
        element = next(self._all(path), None)
        text = "" if element is None or element.text is None else " ".join(element.text.split())
        return text or None

    def _number(self, path: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise FileFormatError(f"{self.where}: {path} is {text[:40]!r}; expected a number")
        return value

    def _numbers(self, path: str) -> tuple[float, ...]:
        texts = [(element.text or "").strip() for element in self._all(path)]
        return tuple(self._number(path, text) for text in texts)

    def _positive(self, path: str) -> float | None:
        text = self._text(path)
        value = 0.0 if text is None else self._number(path, text)
        if value < 0:
            raise FileFormatError(f"{self.where}: {path} is {value:g}; expected a positive number")
        return value or None

    def _count(self, path: str) -> int | None:
        value = self._positive(path)
        if value is None:
            return None
        if value != int(value) or value > _MAX_MATRIX:
            raise FileFormatError(f"{self.where}: {path} is {value:g}; expected a whole number up to {_MAX_MATRIX}")
        return int(value)

    def _matrix(self, path: str) -> tuple[int, int, int] | None:
        x, y, z = (self._count(f"{path}/{axis}") for axis in "xyz")
        return None if x is None or y is None else (x, y, z or 1)

    def _fov(self, path: str) -> tuple[float, float, float] | None:
        x, y, z = (self._positive(f"{path}/{axis}") for axis in "xyz")
        return None if x is None or y is None else (x, y, z or 0.0)

    def _limits(self, path: str) -> tuple[int, int, int] | None:
        texts = [self._text(f"{path}/{name}") for name in ("minimum", "center", "maximum")]
        if texts[1] is None or texts[2] is None:
            return None
        minimum, center, maximum = (int(self._number(path, text or "0")) for text in texts)
        if not 0 <= minimum <= center <= maximum <= _MAX_MATRIX:
            raise FileFormatError(
                f"{self.where}: {path} is minimum {minimum}, center {center}, maximum {maximum}; expected that order"
            )
        return minimum, center, maximum

    def _scanner(self) -> str | None:
        place = "acquisitionSystemInformation"
        parts = [self._text(f"{place}/systemVendor"), self._text(f"{place}/systemModel")]
        return " ".join(part for part in parts if part) or None


def _local(element: Element) -> str:
    """Tag without its namespace; comments and instructions have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def format_header(header: Header, shape: Sequence[int]) -> bytes:
    """Write `header` as an ISMRMRD document that the fastMRI package can read.

    Parameters
    ----------
    header : Header
        What is None in it is taken from `shape` (matrices and limits: nothing cropped, nothing padded), or written
        as 0 where the schema demands a number nobody knows (fields of view, resonance frequency).
    shape : sequence of int
        (slices, coil, rows, columns) of the k-space.

    Returns
    -------
    bytes
        UTF-8 XML.
    """
    _, coils, rows, columns = shape
    encoded = header.encoded_matrix or (rows, columns, 1)
    minimum, center, maximum = header.phase_limits or (0, encoded[1] // 2, max(columns, encoded[1]) - 1)
    root = Element("ismrmrdHeader", xmlns=NAMESPACE)
    if header.protocol:
        _add(_add(root, "measurementInformation"), "protocolName", header.protocol)
    system = _add(root, "acquisitionSystemInformation")
    if header.scanner:
        _add(system, "systemModel", header.scanner)
    if header.field_strength_t:
        _add(system, "systemFieldStrength_T", f"{header.field_strength_t:.9g}")
    _add(system, "receiverChannels", str(header.coils or coils))
    frequency = round(PROTON_HZ_PER_TESLA * (header.field_strength_t or 0))
    _add(_add(root, "experimentalConditions"), "H1resonanceFrequency_Hz", str(frequency))
    encoding = _add(root, "encoding")
    _add_space(encoding, "encodedSpace", encoded, header.encoded_fov_mm)
    _add_space(encoding, "reconSpace", header.recon_matrix or (rows, columns, 1), header.recon_fov_mm)
    step = _add(_add(encoding, "encodingLimits"), "kspace_encoding_step_1")
    for name, value in (("minimum", minimum), ("maximum", maximum), ("center", center)):
        _add(step, name, str(value))
    _add(encoding, "trajectory", "cartesian")
    sequence = _add(root, "sequenceParameters")
    for name, values in (
        ("TR", header.repetition_time_ms),
        ("TE", header.echo_time_ms),
        ("TI", header.inversion_time_ms),
        ("flipAngle_deg", header.flip_angle_deg),
    ):
        for number in values:
            _add(sequence, name, f"{number:.9g}")
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _add(parent: Element, name: str, text: str | None = None) -> Element:
    child = SubElement(parent, name)
    child.text = text
    return child


def _add_space(encoding: Element, name: str, matrix: Sequence[int], fov_mm: tuple[float, float, float] | None) -> None:
    space = _add(encoding, name)
    size, extent = _add(space, "matrixSize"), _add(space, "fieldOfView_mm")
    for index, axis in enumerate("xyz"):
        _add(size, axis, str(matrix[index]))
        _add(extent, axis, f"{0.0 if fov_mm is None else fov_mm[index]:.9g}")
