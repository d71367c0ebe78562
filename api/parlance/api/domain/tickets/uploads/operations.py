"""How the upload of tickets stands in the OpenAPI document: its body, which the framework does not
parse, and its answers. No behaviour here."""

from parlance.api.http import operations

DESCRIPTION = "Upload tickets."
PROBLEMS = operations.build_problems({422: "Fields are wrong"})
AddTicketsOperation = operations.build_operation()
