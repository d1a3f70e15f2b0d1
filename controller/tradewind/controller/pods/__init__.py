"""A task as a Pod (manifest.py), and what a Pod's state says about the try it runs (observation.py)."""
