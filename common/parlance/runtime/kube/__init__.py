"""The Kubernetes API: the only package that imports its client.

    connection  where the API server is and who we are (pod, kubeconfig)
    requests    one request: deadline, translation of errors, outcome as a value
    client      Kube and open_kube: CallJobs, Events, and what devstack needs

Not found, already there and conflict are answers, not errors: whoever asks knows what they mean.
"""

from .client import CallJobPage, Kube, open_kube
from .connection import KubeConnection, load_connection
from .requests import Manifest, Outcome, Patched

__all__ = [
    "CallJobPage",
    "Kube",
    "KubeConnection",
    "Manifest",
    "Outcome",
    "Patched",
    "load_connection",
    "open_kube",
]
