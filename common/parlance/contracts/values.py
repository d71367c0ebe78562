"""Base class of every contract value. Imported by the other contract modules only."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Frozen. Unknown fields are ignored: a newer sender never breaks an older reader. Errors do
    not repeat what was read: they are logged, and messages carry what people said."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", ser_json_inf_nan="null", hide_input_in_errors=True
    )
