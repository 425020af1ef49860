"""Coil maps from the calibration region of k-space: ESPIRiT."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kascade.errors import ConfigError, ShapeError
from kascade.physics.rss import rss

__all__ = ["espirit"]

POWER_ITERATIONS = 10
ROWS_AT_ONCE = 4  # a block of Gram matrices should stay in the cache
SECOND_SET_CROP = 0.9


def espirit(
    kspace: Tensor,
    acs: int | tuple[int, int] = 24,
    *,
    kernel: int = 5,
    sets: int = 1,
    threshold: float = 0.02,
    crop: float | str | None = None,
) -> Tensor:
    """Estimate coil maps from the fully sampled center of k-space.

    Parameters
    ----------
    kspace : Tensor
        Complex (coil, rows, columns), centered; only its central `acs` region is looked at.
    acs : int or (int, int)
        Calibration region: columns, of as many rows (at most those there are); or (rows, columns).
    kernel : int
        Width of the k-space kernels.
    sets : int
        Number of map sets; 2 where the field of view is smaller than the object (soft-SENSE).
    threshold : float
        Singular vectors of the calibration matrix below this fraction of the largest singular value are its null space.
    crop : float, "auto" or None
        Maps are zero where their eigenvalue (between 0 and 1) is below this. "auto" takes the value with the least
        estimated error (SURE) on the calibration data. By default one set is not cropped, and two sets or more at 0.9,
        since a second set is noise outside the region that is folded over.

    Returns
    -------
    Tensor
        complex64 (or complex128 for such k-space), (coil, rows, columns), or (set, coil, rows, columns) if `sets` > 1. The
        sum over coils of abs squared is 1, or 0 where cropped. The phase is that of the first principal component of the
        calibration data: the virtual coil is real and positive, so that no single coil's phase singularities enter.

    Raises
    ------
    ShapeError
        If `kspace` is not complex (coil, rows, columns).
    ConfigError
        If the calibration region is smaller than the kernel or larger than k-space, or an argument is out of range.

    References
    ----------
    Uecker et al., ESPIRiT, MRM 71 (2014); Iyer et al., SURE-based automatic parameter selection for ESPIRiT, MRM 84 (2020).
    """
    rows, columns = _check(kspace, acs, kernel, sets, threshold, crop)
    calibration = _center(kspace, rows, columns)
    if not bool(calibration.any()):
        shape = kspace.shape if sets == 1 else (sets, *kspace.shape)
        return torch.zeros(shape, dtype=kspace.dtype, device=kspace.device)
    coils, (n_rows, n_columns) = kspace.shape[0], kspace.shape[1:]
    correlation = _kernel_correlation(_row_space(calibration, kernel, threshold), kernel)
    low_resolution = _interpolate(_apodized(calibration), n_rows, n_columns)
    reference = _principal_component(calibration)
    offsets = torch.arange(1 - kernel, kernel, device=kspace.device)
    to_rows, to_columns = (_dft(n, offsets, kspace.dtype) for n in (n_rows, n_columns))
    maps = torch.empty(sets, coils, n_rows, n_columns, dtype=kspace.dtype, device=kspace.device)
    values = torch.empty(sets, n_rows, n_columns, dtype=kspace.real.dtype, device=kspace.device)
    for block in _blocks(n_rows, ROWS_AT_ONCE if kspace.device.type == "cpu" else n_rows):
        gram = (to_rows[block] @ correlation) @ to_columns.T  # (coil * coil, rows of the block, columns)
        start = _starts(low_resolution[:, block], sets)
        vectors, found = _eigenvectors(gram.reshape(coils, coils, -1), start.flatten(2))
        maps[:, :, block] = vectors.unflatten(-1, (-1, n_columns))
        values[:, block] = found.unflatten(-1, (-1, n_columns))
    maps *= torch.sgn(torch.einsum("c,scij->sij", reference, maps.conj()))[:, None]
    limit = _crop_limit(crop, sets, maps, values, low_resolution, calibration, kernel)
    if limit > 0:
        maps *= (values >= limit)[:, None]
    return maps if sets > 1 else maps[0]


def _check(
    kspace: Tensor, acs: int | tuple[int, int], kernel: int, sets: int, threshold: float, crop: float | str | None
) -> tuple[int, int]:
    """Size of the calibration region (rows, columns)."""
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ShapeError(f"espirit: kspace must be complex (coil, rows, columns), got {kspace.dtype} {tuple(kspace.shape)}")
    coils, n_rows, n_columns = kspace.shape
    rows, columns = (min(acs, n_rows), acs) if isinstance(acs, int) else acs
    if rows > n_rows or columns > n_columns:
        raise ConfigError(f"espirit: the calibration region {rows} x {columns} is larger than k-space, {n_rows} x {n_columns}")
    if kernel < 1 or min(rows, columns) < min(kernel, n_rows, n_columns) or min(rows, columns) < 1:
        raise ConfigError(
            f"espirit: the calibration region is {rows} x {columns}, smaller than the kernel of {kernel}; acquire more "
            "autocalibration lines (--acs), or give coil maps (--maps)"
        )
    if not 1 <= sets <= coils:
        raise ConfigError(f"espirit: sets must lie between 1 and the number of coils, {coils}; got {sets}")
    if not 0 <= threshold < 1:
        raise ConfigError(f"espirit: threshold must be at least 0 and below 1, got {threshold}")
    if isinstance(crop, str) and crop != "auto":
        raise ConfigError(f"espirit: crop must be a number, 'auto' or None, got {crop!r}")
    return rows, columns


def _center(kspace: Tensor, rows: int, columns: int) -> Tensor:
    """Central block of k-space, around sample n // 2."""
    r, c = (n // 2 - size // 2 for n, size in zip(kspace.shape[1:], (rows, columns), strict=True))
    return kspace[:, r : r + rows, c : c + columns]


def _row_space(calibration: Tensor, kernel: int, threshold: float) -> Tensor:
    """Kernels that span the row space of the calibration matrix, orthonormal, (n, coil, kernel, kernel)."""
    coils, rows, columns = calibration.shape
    size = (min(kernel, rows), min(kernel, columns))
    windows = calibration.unfold(1, size[0], 1).unfold(2, size[1], 1)  # (coil, row, column, kernel, kernel)
    matrix = windows.permute(1, 2, 0, 3, 4).reshape(-1, coils * size[0] * size[1])
    matrix = matrix / torch.linalg.vector_norm(matrix)
    _, values, vectors = torch.linalg.svd(matrix, full_matrices=False)
    kept = vectors[values > threshold * values[0]]
    kernels = torch.zeros(len(kept), coils, kernel, kernel, dtype=kept.dtype, device=kept.device)
    kernels[..., : size[0], : size[1]] = kept.reshape(-1, coils, *size)
    return kernels


def _kernel_correlation(kernels: Tensor, kernel: int) -> Tensor:
    """Sum over kernels of the correlations between coils, (coil * coil, 2 kernel - 1, 2 kernel - 1).

    Its Fourier transform at a pixel is the Gram matrix whose eigenvectors are the maps there: a band-limited function of
    the pixel, so that these few coefficients hold all of it.
    """
    size = 2 * kernel
    spectrum = torch.fft.fft2(kernels, s=(size, size)).flatten(2)  # (n, coil, frequency)
    products = torch.einsum("ncf,ndf->cdf", spectrum, spectrum.conj()).unflatten(-1, (size, size))
    lags = torch.fft.ifft2(products) / kernel**2
    order = torch.arange(1 - kernel, kernel, device=kernels.device) % size
    return lags[..., order, :][..., order].flatten(0, 1)


def _dft(n: int, offsets: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrix (n, offsets) that evaluates k-space coefficients at centered offsets on n pixels."""
    pixels = torch.arange(n, device=offsets.device) - n // 2
    angle = 2 * torch.pi / n * (torch.outer(pixels, offsets) % n).to(dtype.to_real())
    return torch.polar(torch.ones_like(angle), angle)


def _interpolate(block: Tensor, n_rows: int, n_columns: int) -> Tensor:
    """Image of a central k-space block, (coil, n_rows, n_columns), orthonormal."""
    rows, columns = block.shape[1:]
    device, scale = block.device, (n_rows * n_columns) ** -0.5
    to_rows = _dft(n_rows, torch.arange(rows, device=device) - rows // 2, block.dtype)
    to_columns = _dft(n_columns, torch.arange(columns, device=device) - columns // 2, block.dtype)
    return scale * (to_rows @ block @ to_columns.T)


def _apodized(block: Tensor) -> Tensor:
    """Hann-windowed, against ringing."""
    windows = [torch.hann_window(n + 2, periodic=False, dtype=block.real.dtype, device=block.device)[1:-1] for n in block.shape[1:]]
    return block * torch.outer(*windows)


def _principal_component(calibration: Tensor) -> Tensor:
    """Coil combination with the most energy, (coil,)."""
    samples = calibration.flatten(1)
    return torch.linalg.eigh(samples @ samples.mH).eigenvectors[:, -1]


def _starts(low_resolution: Tensor, sets: int) -> Tensor:
    """Starting vectors (set, coil, rows, columns): the low-resolution coil images, then fixed random ones."""
    coils = low_resolution.shape[0]
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(sets, coils, 1, 1, dtype=low_resolution.dtype, generator=generator).to(low_resolution.device)
    scale = rss(low_resolution, 0).clamp(min=1e-30)
    starts = random.expand(sets, *low_resolution.shape).clone()
    starts[0] = low_resolution / scale + 1e-3 * random[0]  # never exactly zero
    return starts


def _eigenvectors(gram: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors by orthogonal iteration.

    Parameters
    ----------
    gram : Tensor
        (coil, coil, pixel), Hermitian and positive semidefinite at each pixel.
    vectors : Tensor
        Start, (set, coil, pixel).

    Returns
    -------
    vectors : Tensor
        Orthonormal over sets, (set, coil, pixel).
    values : Tensor
        Their Rayleigh quotients, (set, pixel).
    """
    vectors = _orthonormal(vectors)
    for _ in range(POWER_ITERATIONS):
        vectors = _orthonormal(_multiply(gram, vectors))
    return vectors, (vectors.conj() * _multiply(gram, vectors)).sum(1).real


def _multiply(gram: Tensor, vectors: Tensor) -> Tensor:
    return torch.stack([(gram * vector).sum(1) for vector in vectors])


def _orthonormal(vectors: Tensor) -> Tensor:
    """Gram-Schmidt over sets at each pixel."""
    done: list[Tensor] = []
    for vector in vectors:
        for other in done:
            vector = vector - other * (other.conj() * vector).sum(0)
        done.append(vector / rss(vector, 0).clamp(min=1e-30))
    return torch.stack(done)


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _crop_limit(
    crop: float | str | None,
    sets: int,
    maps: Tensor,
    values: Tensor,
    low_resolution: Tensor,
    calibration: Tensor,
    kernel: int,
) -> float:
    if crop is None:
        return 0.0 if sets == 1 else SECOND_SET_CROP
    return float(crop) if not isinstance(crop, str) else _sure_limit(maps, values, low_resolution, calibration, kernel)


def _sure_limit(maps: Tensor, values: Tensor, images: Tensor, calibration: Tensor, kernel: int) -> float:
    """Eigenvalue limit with the least unbiased risk estimate for projecting the low-resolution images on the maps.

    Keeping a map at a pixel lowers the residual by |s^H x|^2 and adds 2 sigma^2 of variance, so that the best limit
    maximises the sum of |s^H x|^2 - 2 sigma^2 over the pixels above it (Iyer et al. 2020, for the crop threshold alone).
    """
    windows = [float(torch.hann_window(n + 2, periodic=False)[1:-1].square().sum()) for n in calibration.shape[1:]]
    border = torch.cat([calibration[:, 0].flatten(), calibration[:, -1].flatten()])
    sigma2 = float(border.abs().square().median()) / 0.6931 * windows[0] * windows[1] / (images.shape[1] * images.shape[2])
    gain = torch.einsum("scij,cij->sij", maps.conj(), images).abs().square() - 2 * sigma2
    order = values.flatten().argsort(descending=True)
    best = int(gain.flatten()[order].cumsum(0).argmax())
    return float(values.flatten()[order[best]])
