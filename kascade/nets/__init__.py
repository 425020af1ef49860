"""Image networks that serve as priors; they know nothing of k-space, coils or complex numbers."""
