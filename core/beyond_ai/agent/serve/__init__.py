"""`agent serve`: the agent behind frames on stdin and stdout, one JSON object a line (docs/serve-protocol.md).

`reader` makes lines of bytes, `frames` is what may stand in them and `answers` what answers hold, `schema` both for
machines, `commands` does what they say in the session that `sessions` holds, `writer` answers, and `server` is the
process around them.
"""
