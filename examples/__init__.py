"""One folder per model: a `train.py` that writes a bundle, and the bundle it wrote."""
