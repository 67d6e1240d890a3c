"""A tool that gets a public web page, and nothing else."""
