"""One analyser a module; `base` says what an analyser is, `analysis.profiles` lists them."""
