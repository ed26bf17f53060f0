"""Train a bundle of one file: does somebody earn more than 50,000 dollars a year?

The pipeline takes the columns as people write them, text and gaps included, and knows their names, the
labels of each and its own classes: there is nothing left for a lookup or metadata to say.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.bundle_writer import DATA, Bundle, command_line, existing, write

WHERE = "the public sassoftware/sas-viya-workbench-examples repository on GitHub (data, CC BY 4.0)"
TARGET = "target"
SEED = 1994


def read(path: Path) -> pd.DataFrame:
    """Return the rows of the CSV file at `path`: numbers as float64, text as object, gaps as NaN."""
    rows = pd.read_csv(path, na_values="?", skipinitialspace=True)
    numbers = rows.select_dtypes("number").columns
    # pandas' own string type would bind the fitted pipeline to it: plain object columns serve everywhere.
    types = {name: "float64" if name in numbers else "object" for name in rows.columns}
    rows = rows.astype(types)
    return rows.where(rows.notna(), np.nan)


def pipeline(rows: pd.DataFrame) -> Pipeline:
    """Return an unfitted pipeline for these columns, which takes any finite number and unknown labels."""
    text = [name for name in rows.columns if rows[name].dtype == object]
    numbers = [name for name in rows.columns if name not in text]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer(
        [
            ("text", make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot), text),
            ("numbers", SimpleImputer(strategy="median"), numbers),
        ]
    )
    boosting = HistGradientBoostingClassifier(max_iter=150, max_leaf_nodes=15, random_state=SEED)
    return Pipeline([("columns", columns), ("boosting", boosting)])


def train(path: Path) -> Bundle:
    """Fit the people in the CSV file at `path` but for a fifth, on which the figures stand."""
    rows = read(path)
    target = rows.pop(TARGET)
    learn, test, known, truth = train_test_split(rows, target, test_size=0.2, stratify=target, random_state=SEED)
    model = pipeline(rows).fit(learn, known)
    return Bundle(
        model=model,
        figures={
            "accuracy": round(float(accuracy_score(truth, model.predict(test))), 6),
            "log_loss": round(float(log_loss(truth, model.predict_proba(test))), 6),
            "base_rate_accuracy": round(float(truth.value_counts(normalize=True).max()), 6),
            "training_rows": len(learn),
            "held_out_rows": len(test),
        },
    )


def main() -> None:
    """Read the command line, train, write the bundle."""
    parser = command_line(__doc__.partition("\n")[0], out=Path(__file__).parent / "bundle")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="CSV",
        default=DATA / "adult_train.csv",
        help=f"people of the 1994 census, the column {TARGET!r} last (default: %(default)s)",
    )
    arguments = parser.parse_args()
    write(train(existing(arguments.data, WHERE)), arguments.out)


if __name__ == "__main__":
    main()
