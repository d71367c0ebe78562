"""Pure decisions: no clock, no network. Tested by whole-value equality."""
