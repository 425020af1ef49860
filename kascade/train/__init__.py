"""Training: recipes, losses, examples, and the loop that Lightning runs."""
