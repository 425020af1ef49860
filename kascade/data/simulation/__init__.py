"""A head phantom, coil maps of current loops, and scans simulated with them."""
