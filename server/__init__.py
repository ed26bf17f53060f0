"""Brinery: a generic model-serving runtime for fitted scikit-learn estimators."""
