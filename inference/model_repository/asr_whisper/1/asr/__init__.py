"""Speech recognition of one Triton model: no Triton here, model.py is the only adapter.

Runs inside the Triton process with nothing but numpy, ctranslate2 and tokenizers.
"""
