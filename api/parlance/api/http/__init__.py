"""The HTTP kit: what every area's routes stand on, whatever they are about."""
