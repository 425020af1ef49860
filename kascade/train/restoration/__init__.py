"""Training of networks that restore magnitude images, and of the classifier of their degradations."""
