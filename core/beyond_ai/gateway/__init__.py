"""The gateway: the data path below ASGI, a file a concern, and an admin application beside it.

Read top-down: `client` (the client's side of a connection), `admission` (may this request pass, and as what),
`exchange` (the state machine that joins both sides), `metering` (what becomes of it at the end).
"""
