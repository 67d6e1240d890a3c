"""What `docs/generate.py` writes, one module a page: each reads the code and yields lines of Markdown."""
