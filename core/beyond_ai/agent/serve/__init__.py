"""`agent serve`: the agent behind frames on stdin and stdout, one JSON object a line (docs/serve-protocol.md).

`reader` makes lines of bytes, `frames` is what may stand in them, `server` does what they say, `writer` answers.
"""
