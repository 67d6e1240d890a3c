"""The coding agent: a loop that knows no network, file or terminal, and the rooms that give it these.

`model` is what the loop asks of a model, `dialects` and `transport` how a request gets to a provider, `loop` the loop
itself, and the other rooms what `beyond-ai agent` is made of.
"""
