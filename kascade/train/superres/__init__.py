"""Training of super-resolution networks, and of the generators that they begin from."""
