"""How large tickets may be. Published by `domain.tickets.limits`."""

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_UNKEYED_BODY_BYTES = 1024 * 1024
"""Of a body whose key does not stand in a header; for longer ones there are few places."""
MAX_BRACKETS = 200_000
"""`{` and `[` in a body. They tell, before it is parsed, how much memory it takes then."""
MAX_COMMAS = 2_000_000
MAX_UNKEYED_BRACKETS = 20_000
MAX_UNKEYED_COMMAS = 500_000
MAX_ITEMS = 1000
MAX_MESSAGES = 2000
MAX_MESSAGE_BYTES = 64 * 1024
MAX_TEXT_BYTES = 1024 * 1024
"""Of all messages of a ticket."""
MAX_SUBJECT_CHARACTERS = 1024
MAX_WORD_CHARACTERS = 64
"""Of the help desk's own words: status, priority, channel, and each tag."""
MAX_TAGS = 50
MAX_AHEAD_SECONDS = 24 * 3600
"""How far in the future a time may lie: clocks differ, and time zones are mixed up."""
MAX_ITEM_ERRORS = 100
"""Wrong fields that are told of one ticket."""
