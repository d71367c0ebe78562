"""The process in which analysers run, where they can be timed, bounded and killed."""
