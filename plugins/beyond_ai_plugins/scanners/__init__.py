"""Scanners that read the model's name from a request body."""
