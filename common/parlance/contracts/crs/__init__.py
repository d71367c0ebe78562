"""Custom resources as pydantic models; `tools/gen_crds.py` turns them into CRDs."""
