"""Small HDF5 files for the tests of the fastMRI reader and writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

KNEE_XML = b"""<?xml version="1.0" encoding="utf-8"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <measurementInformation><protocolName> t1 knee </protocolName></measurementInformation>
  <acquisitionSystemInformation>
    <systemVendor>Maker</systemVendor><systemModel>Model</systemModel>
    <systemFieldStrength_T>2.8936</systemFieldStrength_T><receiverChannels>3</receiverChannels>
  </acquisitionSystemInformation>
  <experimentalConditions><H1resonanceFrequency_Hz>123200000</H1resonanceFrequency_Hz></experimentalConditions>
  <!-- a comment -->
  <encoding>
    <encodedSpace>
      <matrixSize><x>16</x><y>12</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>280</x><y>168</y><z>4.5</z></fieldOfView_mm>
    </encodedSpace>
    <reconSpace>
      <matrixSize><x>8</x><y>8</y><z>1</z></matrixSize>
      <fieldOfView_mm><x>140</x><y>140</y><z>4.5</z></fieldOfView_mm>
    </reconSpace>
    <encodingLimits>
      <kspace_encoding_step_1><minimum>0</minimum><maximum>9</maximum><center>5</center></kspace_encoding_step_1>
    </encodingLimits>
    <trajectory>cartesian</trajectory>
  </encoding>
  <sequenceParameters><TR>2200</TR><TE>27</TE><TE>54</TE><TI>100</TI><flipAngle_deg>140</flipAngle_deg></sequenceParameters>
</ismrmrdHeader>
"""


def random_kspace(*shape: int, seed: int = 0) -> Tensor:
    """Complex Gaussian noise, complex64."""
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def write_h5(path: Path, attributes: dict[str, Any] | None = None, **datasets: Any) -> Path:
    """Write arrays as data sets, as anybody with h5py would."""
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value.numpy() if isinstance(value, Tensor) else value
        file.attrs.update(attributes or {})
    return path


def compound(array: np.ndarray, names: tuple[str, str], kind: str) -> np.ndarray:
    """Complex array as a compound of two numbers: real part under the first name."""
    result = np.empty(array.shape, np.dtype([(name, kind) for name in names]))
    result[names[0]], result[names[1]] = array.real, array.imag
    return result
