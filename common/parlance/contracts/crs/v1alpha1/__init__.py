"""Version v1alpha1, one kind per module."""
