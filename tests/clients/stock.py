"""One way to call a stock SDK client, synchronous or not, so that every test is written once and runs on both.

The clients are made as their users make them: an API key, a base URL, and nothing else.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai

Client = openai.OpenAI | openai.AsyncOpenAI | anthropic.Anthropic | anthropic.AsyncAnthropic
Choose = Callable[[Any], Callable[..., Any]]
"""Picks the method to call off a client; the SDKs have no common type for their methods."""

END: Final = object()


@dataclass(frozen=True, slots=True)
class Sdk:
    """A stock client. A synchronous one is called in a thread, so that the test's event loop can answer it."""

    client: Client

    @property
    def is_async(self) -> bool:
        return isinstance(self.client, openai.AsyncOpenAI | anthropic.AsyncAnthropic)

    async def call(self, choose: Choose, /, **arguments: object) -> Any:
        """Call a method and return its result."""
        method = choose(self.client)
        if self.is_async:
            return await method(**arguments)
        return await asyncio.to_thread(method, **arguments)

    async def raw(self, choose: Choose, /, **arguments: object) -> tuple[Any, dict[str, str]]:
        """Call a method through `with_raw_response`: its parsed result and the response's headers."""
        response = await self.call(choose, **arguments)
        parsed = response.parse()
        if inspect.isawaitable(parsed):
            parsed = await parsed
        return parsed, dict(response.headers)

    async def each(self, stream: Any) -> AsyncGenerator[Any, None]:
        """The events of STREAM as they come."""
        if self.is_async:
            async for event in stream:
                yield event
            return
        events = iter(stream)
        while (event := await asyncio.to_thread(next, events, END)) is not END:
            yield event

    async def collect(self, stream: Any) -> list[Any]:
        """All events of STREAM."""
        return [event async for event in self.each(stream)]

    async def aclose(self) -> None:
        """Close the client's connections."""
        if isinstance(self.client, openai.AsyncOpenAI | anthropic.AsyncAnthropic):
            await self.client.close()
        else:
            self.client.close()
