"""Files and records, masks, simulation: everything that is read, written or made up before a reconstruction."""

from __future__ import annotations

from kascade.data.formats.fastmri_h5 import read_images, read_maps
from kascade.data.formats.fastmri_write import write_maps, write_reconstruction, write_scan
from kascade.data.header import Header, crop_to_recon
from kascade.data.index import FolderIndex, index_folder
from kascade.data.load import load
from kascade.data.scan import Scan
from kascade.data.simulation.simulate import simulate_head, simulate_scan, simulate_volume

__all__ = [
    "FolderIndex",
    "Header",
    "Scan",
    "crop_to_recon",
    "index_folder",
    "load",
    "read_images",
    "read_maps",
    "simulate_head",
    "simulate_scan",
    "simulate_volume",
    "write_maps",
    "write_reconstruction",
    "write_scan",
]
