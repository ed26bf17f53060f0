"""Train a regressor that needs no lookup: how much alcohol does a wine hold?

The data come with scikit-learn. The model knows its columns by name, so labels and metadata only
make the answer and the documentation read better.
"""

import sys
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold, cross_val_score, train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.bundle_writer import Bundle, command_line, write

SEED = 13

DESCRIPTIONS = {
    "malic_acid": "Malic acid.",
    "ash": "Ash.",
    "alcalinity_of_ash": "Alcalinity of the ash.",
    "magnesium": "Magnesium.",
    "total_phenols": "Phenols in total.",
    "flavanoids": "Flavanoids.",
    "nonflavanoid_phenols": "Phenols other than flavanoids.",
    "proanthocyanins": "Proanthocyanins.",
    "color_intensity": "Intensity of the colour.",
    "hue": "Hue of the colour.",
    "od280/od315_of_diluted_wines": "Absorbance at 280 nm over that at 315 nm, diluted.",
    "proline": "Proline.",
}


def train() -> Bundle:
    """Fit three quarters of the 178 wines; the bundle's figures stand on the others."""
    measurements = load_wine(as_frame=True).data
    alcohol = measurements.pop("alcohol")
    learn, test, known, truth = train_test_split(measurements, alcohol, test_size=0.25, random_state=SEED)
    model = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=SEED, n_jobs=1).fit(learn, known)
    predicted = model.predict(test)
    # 45 wines are few to judge by, and these are kind to the model: ten folds say what to expect.
    folds = KFold(10, shuffle=True, random_state=SEED)
    expected = cross_val_score(model, measurements, alcohol, scoring="r2", cv=folds)
    return Bundle(
        model=model,
        labels=["alcohol"],
        figures={
            "r2": round(float(r2_score(truth, predicted)), 6),
            "mean_absolute_error": round(float(mean_absolute_error(truth, predicted)), 6),
            "cross_validated_r2": round(float(expected.mean()), 6),
            "training_rows": len(learn),
            "held_out_rows": len(test),
        },
        metadata={
            "name": "wine",
            "version": 1,
            "description": "Alcohol of an Italian wine, in percent by volume, from its other measurements.",
            "tags": ["wine", "regression"],
            "data": {"source": "UCI Wine, as it comes with scikit-learn", "licence": "CC BY 4.0"},
            "parameters": {
                name: {
                    "type": "number",
                    "minimum": 0,
                    "description": DESCRIPTIONS[name],
                    "examples": [round(float(measurements[name].median()), 2)],
                }
                for name in measurements.columns
            },
        },
    )


def main() -> None:
    """Read the command line, train, write the bundle."""
    parser = command_line(__doc__.partition("\n")[0], out=Path(__file__).parent / "bundle")
    write(train(), parser.parse_args().out)


if __name__ == "__main__":
    main()
