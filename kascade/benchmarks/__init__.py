"""What is measured: image quality over lambda, speed against other packages."""

__all__: list[str] = []
