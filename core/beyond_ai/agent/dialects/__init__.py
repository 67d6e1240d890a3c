"""The words of providers: neutral requests to bodies, and streams of server-sent events back to neutral events.

Pure functions over data. `sse` frames bytes, `failures` names what went wrong, `history` makes any conversation legal,
and each dialect has a file for what it sends and one for what it reads: `chat`, `responses` and `messages`.
`dialect` is what they have in common, `choice` says which one a model speaks.
"""
