"""One reader for each file format, the fastMRI writer, and what they share."""
