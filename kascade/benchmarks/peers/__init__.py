"""Other packages that Kascade's speed is compared with: one file each.

Every file gives `version()`, which raises NotInstalledError where the package is missing, `DEVICES`, and `CASES`:
functions (inputs, case, device) -> Task by the name of the case.
"""

__all__: list[str] = []
