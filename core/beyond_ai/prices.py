"""What tokens cost, as the configuration states it. No price is built in: they change, and they are the operator's."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelPrice(BaseModel):
    """US dollars for a million tokens of one model. A cache price that is left out is that of input."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
