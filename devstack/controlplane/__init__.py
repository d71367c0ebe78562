"""The Kubernetes control plane: pinned Go modules, their build, and the running servers."""
