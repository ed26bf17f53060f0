"""What one writes without Brinery: a Flask application of twenty lines. It checks nothing."""

import pickle
from pathlib import Path
from typing import Any

import pandas as pd
from flask import Flask, Response, jsonify, request


def create_app(folder: str) -> Flask:
    """Serve the pickles of a folder."""
    model = pickle.loads(Path(folder, "model.pkl").read_bytes())
    lookup_file = Path(folder, "lookup.pkl")
    lookup = pickle.loads(lookup_file.read_bytes()) if lookup_file.exists() else None
    app = Flask(__name__)

    @app.post("/api/predict")
    def predict() -> Response:
        sent = request.get_json()
        rows = sent if isinstance(sent, list) else [sent]
        X: Any
        if lookup is None:
            X = pd.DataFrame(rows, columns=model.feature_names_in_)
        else:
            X = [[codes[row[name]] if codes else row[name] for name, codes in lookup.items()] for row in rows]
        if hasattr(model, "predict_proba"):
            answers = [
                dict(zip(model.classes_.tolist(), each, strict=True)) for each in model.predict_proba(X).tolist()
            ]
        else:
            answers = [{"prediction": each} for each in model.predict(X).tolist()]
        return jsonify(answers if isinstance(sent, list) else answers[0])

    return app
