"""Train a bundle of numbers, a nullable number and labels: who survived the Titanic?

The model takes a missing age as it is, so `Age` may be null in a request.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.bundle_writer import DATA, Bundle, command_line, existing, write

WHERE = "the public benc-uk/batcomputer repository on GitHub (data/titanic, MIT)"
SEED = 1912

LOOKUP: dict[str, Any] = {
    "Pclass": {1: 1, 2: 2, 3: 3},
    "Sex": {"female": 0, "male": 1},
    "Age": 0,
    "SibSp": 0,
    "Parch": 0,
    "Fare": 0,
    "Embarked": {"C": 0, "Q": 1, "S": 2},
}
PARAMETERS = {
    "Pclass": {"description": "Class of the ticket, 1 for the first.", "examples": [3]},
    "Sex": {"description": "Sex of the passenger.", "examples": ["female"]},
    "Age": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 120,
        "description": "Age in years, null where nobody knows it.",
        "examples": [29],
    },
    "SibSp": {
        "type": "integer",
        "minimum": 0,
        "maximum": 20,
        "description": "Number of siblings and spouses aboard.",
        "examples": [0],
    },
    "Parch": {
        "type": "integer",
        "minimum": 0,
        "maximum": 20,
        "description": "Number of parents and children aboard.",
        "examples": [1],
    },
    "Fare": {
        "type": "number",
        "minimum": 0,
        "maximum": 1000,
        "description": "Fare in pounds of 1912.",
        "examples": [14.5],
    },
    "Embarked": {
        "description": "Port: C for Cherbourg, Q for Queenstown, S for Southampton.",
        "examples": ["S"],
    },
}


def train(path: Path) -> Bundle:
    """Fit the passengers in the CSV file at `path` but for a quarter, on which the bundle's figures stand."""
    # Two passengers have no port; with so few, a request has to name one.
    passengers = pd.read_csv(path).dropna(subset=["Embarked"])
    rows = passengers[list(LOOKUP)].copy()
    for name, codes in LOOKUP.items():
        if codes:
            rows[name] = rows[name].map(codes).astype("int64")
    learn, test, survived, truth = train_test_split(
        rows, passengers["Survived"], test_size=0.25, stratify=passengers["Survived"], random_state=SEED
    )
    model = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=10, random_state=SEED
    ).fit(learn, survived)
    probability = model.predict_proba(test)[:, 1]
    return Bundle(
        model=model,
        lookup=LOOKUP,
        labels=["died", "survived"],
        figures={
            "accuracy": round(float(accuracy_score(truth, probability > 0.5)), 6),
            "log_loss": round(float(log_loss(truth, probability)), 6),
            "brier_score": round(float(brier_score_loss(truth, probability)), 6),
            "base_rate_accuracy": round(float(max(truth.mean(), 1 - truth.mean())), 6),
            "training_rows": len(learn),
            "held_out_rows": len(test),
        },
        metadata={
            "name": "titanic",
            "version": 1,
            "description": "How likely a passenger of the Titanic was to survive.",
            "tags": ["titanic", "classification"],
            "data": {"source": "benc-uk/batcomputer, data/titanic", "licence": "MIT"},
            "parameters": PARAMETERS,
        },
    )


def main() -> None:
    """Read the command line, train, write the bundle."""
    parser = command_line(__doc__.partition("\n")[0], out=Path(__file__).parent / "bundle")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="CSV",
        default=DATA / "titanic.csv",
        help="the list of passengers, with the usual columns (default: %(default)s)",
    )
    arguments = parser.parse_args()
    write(train(existing(arguments.data, WHERE)), arguments.out)


if __name__ == "__main__":
    main()
